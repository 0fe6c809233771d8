package pebble

import (
	"encoding/binary"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A seal says how far pebble's two logs were durable at some time. Every commit
// puts one into the log (as "log data", which pebble keeps there and nowhere
// else), so that whatever was durable is vouched for by what came after it: a log
// that cannot be read as far as a seal says is damaged, whereas one that breaks
// off behind its last seal merely ends there. Only the last commit before a crash
// has nobody to vouch for it. The health probe adds seals of its own, and Open and
// Close leave one in the sentinel.
//
// A seal costs some ten bytes and no I/O.
type seal struct {
	Log      extent `json:"log"`
	Manifest extent `json:"manifest"`
}

// extent is the number of a log file, and of its bytes.
type extent struct {
	File uint64 `json:"file"`
	Size uint64 `json:"size"`
}

// sealTag begins every seal, and leaves room for others.
const sealTag = 1

func (s seal) encode() []byte {
	b := []byte{sealTag}
	for _, n := range []uint64{s.Log.File, s.Log.Size, s.Manifest.File, s.Manifest.Size} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func decodeSeal(b []byte) (s seal, ok bool) {
	if len(b) == 0 || b[0] != sealTag {
		return seal{}, false
	}
	b = b[1:]
	for _, n := range []*uint64{&s.Log.File, &s.Log.Size, &s.Manifest.File, &s.Manifest.Size} {
		var size int
		if *n, size = binary.Uvarint(b); size <= 0 {
			return seal{}, false
		}
		b = b[size:]
	}
	return s, true
}

// sealFS watches the logs being written and synced.
type sealFS struct {
	vfs.FS
	log, manifest atomic.Pointer[extent]
}

func newSealFS(below vfs.FS) *sealFS {
	f := &sealFS{FS: below}
	f.log.Store(&extent{})
	f.manifest.Store(&extent{})
	return f
}

// Unwrap returns the filesystem below.
func (f *sealFS) Unwrap() vfs.FS { return f.FS }

func (f *sealFS) current() seal {
	return seal{Log: *f.log.Load(), Manifest: *f.manifest.Load()}
}

// Create creates a file, and watches it if it is a log.
func (f *sealFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	return f.watch(name, file), err
}

// ReuseForWrite gives a log that is not needed any more another name, and watches it.
func (f *sealFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	return f.watch(newname, file), err
}

func (f *sealFS) watch(name string, file vfs.File) vfs.File {
	if file == nil {
		return nil
	}
	if number, ok := logNumber(name); ok {
		return &sealedFile{File: newZeroed(file), number: number, durable: &f.log}
	}
	if number, ok := manifestNumber(name); ok {
		return &sealedFile{File: file, number: number, durable: &f.manifest}
	}
	return file
}

// logNumber returns the number in the name of a write-ahead log: "000012.log".
func logNumber(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(filepath.Base(name), ".log")
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}

// manifestNumber returns the number in the name of a manifest: "MANIFEST-000012".
func manifestNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(filepath.Base(name), "MANIFEST-")
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}

// sealedFile is a log that is written from its beginning, by one goroutine at a
// time.
type sealedFile struct {
	vfs.File
	number  uint64
	written atomic.Uint64
	durable *atomic.Pointer[extent]
}

func (f *sealedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.written.Add(uint64(n))
	return n, err
}

func (f *sealedFile) Sync() error { return f.synced(f.File.Sync) }

func (f *sealedFile) SyncData() error { return f.synced(f.File.SyncData) }

// synced syncs, and then counts as durable what had been written before. A log
// that was followed by another may still be synced while it is closed.
func (f *sealedFile) synced(sync func() error) error {
	now := &extent{File: f.number, Size: f.written.Load()}
	if err := sync(); err != nil {
		return err
	}
	for {
		old := f.durable.Load()
		if now.File < old.File || now.File == old.File && now.Size <= old.Size {
			return nil
		}
		if f.durable.CompareAndSwap(old, now) {
			return nil
		}
	}
}
