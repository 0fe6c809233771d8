package pebble

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// A value is a version, a CRC-32C (Castagnoli, big-endian) of key and JSON, and the
// JSON of the object. The key is in the checksum so that a value that turns up
// under another record's key is not taken for that record's.
const (
	valueVersion = 1
	valueHeader  = 1 + 4
)

func encode[S, U any](key string, obj state.Object[S, U]) ([]byte, error) {
	value := make([]byte, valueHeader, 512)
	text, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	value = append(value, text...)
	value[0] = valueVersion
	binary.BigEndian.PutUint32(value[1:], checksum(key, text))
	return value, nil
}

func decode[S, U any](key string, value []byte) (obj state.Object[S, U], err error) {
	if len(value) < valueHeader {
		return obj, errors.New("it is too short")
	}
	if value[0] != valueVersion {
		return obj, fmt.Errorf("it has version %d instead of %d", value[0], valueVersion)
	}
	text := value[valueHeader:]
	if binary.BigEndian.Uint32(value[1:]) != checksum(key, text) {
		return obj, errors.New("its checksum does not hold")
	}
	return obj, json.Unmarshal(text, &obj)
}

func checksum(key string, text []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, text)
}
