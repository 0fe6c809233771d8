package pebble

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	databaseDir    = "db"
	newDatabaseDir = "db.new"

	uuidKey   = "meta/uuid"
	schemaKey = "meta/schema"
)

// databaseOptions keep the database small: a hundred thousand records are some
// 60 MB, and the process shall stay far below that.
func databaseOptions(fs vfs.FS, h *health) *pebbledb.Options {
	return &pebbledb.Options{
		FS: fs,
		// Not FormatNewest: opening a store with a newer pebble must not lock
		// out the program that wrote it. A newer format comes with a newer schema.
		FormatMajorVersion: pebbledb.FormatValueSeparation,
		// Creating a database is done in one place, on purpose: see createDatabase.
		ErrorIfNotExists: true,
		CacheSize:        8 << 20,
		MemTableSize:     4 << 20,
		// Room for bursts while one memtable is being flushed.
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                128,
		// A log that is read whole at every start is better short.
		MaxManifestFileSize: 1 << 20,
		// They serve compaction heuristics that a store of this size has no use for.
		DisableTableStats: true,
		Logger:            logger{},
		EventListener:     h.listener(),
	}
}

// openDatabase opens a database that exists and whose logs keep what was sealed,
// by themselves and last.
func openDatabase(path string, fs vfs.FS, h *health, last seal) (*pebbledb.DB, *sealFS, error) {
	dir := filepath.Dir(path)
	if err := checkSeals(path, fs, last); err != nil {
		return nil, nil, openError(dir, err)
	}
	seals := newSealFS(fs)
	db, err := openRecovering(path, databaseOptions(seals, h))
	if err != nil {
		return nil, nil, openError(dir, err)
	}
	return db, seals, nil
}

// openRecovering turns pebble's panics into errors: it panics at some kinds of
// damage that it did not expect to have passed a checksum.
func openRecovering(path string, options *pebbledb.Options) (db *pebbledb.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("opening the database: %v", p)
		}
	}()
	return pebbledb.Open(path, options)
}

// openError tells what the disk does not allow, which passes, from what is not on
// it any more, which does not.
func openError(dir string, err error) error {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EACCES, unix.EPERM,
		unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN} {
		if errors.Is(err, errno) {
			return state.Errorf(state.Unavailable, "opening the store in %s: %w", dir, err)
		}
	}
	return damaged(dir, "%w", err)
}

// createDatabase makes a new, empty database with an identity of its own. It
// appears under its name when it is whole, so that half of one is never mistaken
// for a store that lost its records.
func createDatabase(dir string, fs vfs.FS) (identity, error) {
	id := identity{UUID: newUUID(), Schema: schema}
	temp := filepath.Join(dir, newDatabaseDir)
	err := os.RemoveAll(temp)
	if err == nil {
		err = fillDatabase(temp, fs, id)
	}
	if err == nil {
		err = renameDurably(temp, filepath.Join(dir, databaseDir))
	}
	if err != nil {
		return identity{}, state.Errorf(state.Unavailable, "creating a store in %s: %w", dir, err)
	}
	return id, nil
}

func fillDatabase(path string, fs vfs.FS, id identity) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	options := databaseOptions(fs, newHealth(nil))
	options.ErrorIfNotExists = false
	db, err := pebbledb.Open(path, options)
	if err != nil {
		return err
	}
	batch := db.NewBatch()
	err = errors.Join(
		batch.Set([]byte(uuidKey), []byte(id.UUID), nil),
		batch.Set([]byte(schemaKey), []byte(strconv.Itoa(id.Schema)), nil),
		batch.Commit(pebbledb.Sync))
	return errors.Join(err, db.Close())
}

// identifyDatabase returns the identity of a database that has no sentinel.
func identifyDatabase(path string, fs vfs.FS) (identity, error) {
	db, _, err := openDatabase(path, fs, newHealth(nil), seal{})
	if err != nil {
		return identity{}, err
	}
	id, err := readIdentity(db)
	if err = errors.Join(err, db.Close()); err != nil {
		return identity{}, damaged(filepath.Dir(path), "%w", err)
	}
	return id, nil
}

func readIdentity(db *pebbledb.DB) (identity, error) {
	uuid, err := readMeta(db, uuidKey)
	if err != nil {
		return identity{}, err
	}
	version, err := readMeta(db, schemaKey)
	if err != nil {
		return identity{}, err
	}
	number, err := strconv.Atoi(version)
	if err != nil {
		return identity{}, fmt.Errorf("%s: %w", schemaKey, err)
	}
	return identity{UUID: uuid, Schema: number}, nil
}

func readMeta(db *pebbledb.DB, key string) (string, error) {
	value, closer, err := db.Get([]byte(key))
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	text := string(value) // before Close, in a statement of its own: the value is pebble's
	return text, closer.Close()
}

// newUUID returns a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, by its contract
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
