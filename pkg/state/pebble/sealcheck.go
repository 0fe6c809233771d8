package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkSeals returns an error if the database's logs lack anything that last or one
// of their own seals speaks of. It changes nothing, and is to be called before
// pebble reads the logs: pebble would take damage for the end of a log and remove
// the rest.
func checkSeals(path string, fs vfs.FS, last seal) error {
	database, err := pebbledb.Peek(path, fs)
	if err != nil {
		return err
	}
	if !database.Exists {
		return errors.New("its database has no current manifest")
	}
	logs, seals, err := scanLogs(path, fs)
	if err != nil {
		return err
	}
	name := filepath.Base(database.ManifestFilename)
	number, _ := manifestNumber(name)
	readable, err := scanFile(filepath.Join(path, name), fs, 0, nil)
	if err != nil {
		return err
	}
	for _, s := range append(seals, last) {
		if err := s.check(logs, extent{File: number, Size: readable}); err != nil {
			return err
		}
	}
	return nil
}

// check compares what was durable with what can be read: of the write-ahead logs
// there are, by number, and of the current manifest.
func (s seal) check(logs map[uint64]uint64, manifest extent) error {
	// A log is gone by right when its records are in tables. That of the last run
	// goes before there is a new one, but there is a new manifest by then.
	newest := slices.Max(slices.AppendSeq([]uint64{0}, maps.Keys(logs)))
	if newest < s.Log.File && manifest.File <= s.Manifest.File {
		return fmt.Errorf("write-ahead log %06d is missing", s.Log.File)
	}
	if readable, ok := logs[s.Log.File]; ok && readable < s.Log.Size {
		return fmt.Errorf("write-ahead log %06d breaks off at byte %d of %d", s.Log.File, readable, s.Log.Size)
	}
	if manifest.File < s.Manifest.File {
		return fmt.Errorf("manifest %06d is current again, although %06d followed it", manifest.File, s.Manifest.File)
	}
	if manifest.File == s.Manifest.File && manifest.Size < s.Manifest.Size {
		return fmt.Errorf("manifest %06d breaks off at byte %d of %d", manifest.File, manifest.Size, s.Manifest.Size)
	}
	return nil
}

// scanLogs returns how much of each write-ahead log can be read, by number, and all
// seals in them.
func scanLogs(path string, fs vfs.FS) (logs map[uint64]uint64, seals []seal, err error) {
	files, err := fs.List(path)
	if err != nil {
		return nil, nil, err
	}
	logs = make(map[uint64]uint64)
	for _, name := range files {
		number, ok := logNumber(name)
		if !ok {
			continue
		}
		logs[number], err = scanFile(filepath.Join(path, name), fs, number, func(payload []byte) {
			if s, ok := sealOf(payload); ok {
				seals = append(seals, s)
			}
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return logs, seals, nil
}

func scanFile(path string, fs vfs.FS, number uint64, visit func([]byte)) (readable uint64, err error) {
	file, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	return scanLog(file, number, visit)
}

// sealOf returns the seal at the beginning of a batch. What there is of the batch
// may end anywhere: its record may go on in the next block, and pebble's own reader
// of batches does not expect that.
func sealOf(payload []byte) (seal, bool) {
	if len(payload) <= batchrepr.HeaderLen || payload[batchrepr.HeaderLen] != byte(pebbledb.InternalKeyKindLogData) {
		return seal{}, false
	}
	rest := payload[batchrepr.HeaderLen+1:]
	length, n := binary.Uvarint(rest)
	if n <= 0 || length > uint64(len(rest)-n) {
		return seal{}, false
	}
	return decodeSeal(rest[n : n+int(length)])
}
