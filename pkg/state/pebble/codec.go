package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/fxamacker/cbor/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// A value is a version, a CRC-32C (Castagnoli, big-endian) of key and contents, and
// the contents: the object in CBOR (RFC 8949), with the field names of its JSON, which
// takes less than half of JSON's time to read. The key is in the checksum so that a value that turns up
// under another record's key is not taken for that record's.
const (
	valueVersion = 1
	valueHeader  = 1 + 4
)

func encode[S, U any](key string, obj state.Object[S, U]) ([]byte, error) {
	value := make([]byte, valueHeader, 512)
	contents, err := writer.Marshal(obj)
	if err != nil {
		return nil, err
	}
	value = append(value, contents...)
	value[0] = valueVersion
	binary.BigEndian.PutUint32(value[1:], checksum(key, contents))
	return value, nil
}

func decode[S, U any](key string, value []byte) (obj state.Object[S, U], err error) {
	if len(value) < valueHeader {
		return obj, errors.New("it is too short")
	}
	if value[0] != valueVersion {
		return obj, fmt.Errorf("it has version %d instead of %d", value[0], valueVersion)
	}
	contents := value[valueHeader:]
	if binary.BigEndian.Uint32(value[1:]) != checksum(key, contents) {
		return obj, errors.New("its checksum does not hold")
	}
	return obj, reader.Unmarshal(contents, &obj)
}

func checksum(key string, contents []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, contents)
}

var (
	// Times keep their nanoseconds and are read as UTC, as they were written.
	writer = must(cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC}.EncMode())
	reader = must(cbor.DecOptions{}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options above contradict each other
	}
	return mode
}
