package pebble

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// schema is the version of everything in the state directory: keys, values and
// pebble's own format.
const schema = 1

const sentinelFile = "store.json"

// sentinel is what is kept beside the database, to be missed there.
type sentinel struct {
	identity
	// Seal is the database's as it was opened or closed for the last time.
	Seal seal `json:"seal,omitzero"`
}

// identity is what the sentinel and the database both say of the store.
type identity struct {
	UUID   string `json:"uuid"`
	Schema int    `json:"schema"`
}

// identify returns the sentinel of the store in dir, and creates the store if there
// is none and the options allow it.
//
// The order of creation is: the database, whole, under another name; its rename;
// the sentinel. So a sentinel without a database is damage, always, while a
// database without a sentinel is a creation that was cut short and lacks nothing.
func identify(dir string, options Options) (sentinel, error) {
	known, err := readSentinel(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return known, err
	}
	id, err := identifyUnnamed(dir, options)
	if err != nil {
		return sentinel{}, err
	}
	known = sentinel{identity: id}
	return known, writeSentinel(dir, known)
}

// identifyUnnamed returns the identity of a store without a sentinel.
func identifyUnnamed(dir string, options Options) (identity, error) {
	path := filepath.Join(dir, databaseDir)
	exists, err := holdsFiles(path)
	switch {
	case err != nil:
		return identity{}, state.Errorf(state.Unavailable, "looking for a database: %w", err)
	case exists:
		return identifyDatabase(path, options.fs)
	case options.Create:
		return createDatabase(dir, options.fs)
	}
	return identity{}, noStore(dir)
}

// readSentinel returns an error that is fs.ErrNotExist if there is no sentinel.
func readSentinel(dir string) (sentinel, error) {
	var found sentinel
	content, err := os.ReadFile(filepath.Join(dir, sentinelFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found, err
	case err != nil:
		return found, state.Errorf(state.Unavailable, "reading the state directory's %s: %w", sentinelFile, err)
	}
	if err := json.Unmarshal(content, &found); err != nil {
		return found, damaged(dir, "%s: %w", sentinelFile, err)
	}
	switch {
	case found.Schema > schema:
		return found, newer(dir, found.Schema)
	case found.Schema != schema || found.UUID == "":
		return found, damaged(dir, "%s names no store", sentinelFile)
	}
	return found, nil
}

func writeSentinel(dir string, known sentinel) error {
	content, err := json.Marshal(known)
	if err == nil {
		err = writeDurably(filepath.Join(dir, sentinelFile), append(content, '\n'))
	}
	if err != nil {
		return state.Errorf(state.Unavailable, "writing the state directory's %s: %w", sentinelFile, err)
	}
	return nil
}

func noStore(dir string) error {
	return state.Errorf(state.NotFound, "there is no store in %s", dir)
}

func newer(dir string, found int) error {
	return state.Errorf(state.Unsupported, "the store in %s has schema %d, and this program knows schema %d: use the newer program that wrote it",
		dir, found, schema)
}

// damaged says what is wrong with the store, and what mends it.
func damaged(dir, format string, args ...any) error {
	return state.Errorf(state.Corrupt, "the store in %s is damaged: %w: `hostpath-csi recover` rebuilds it from the volumes on the disk",
		dir, fmt.Errorf(format, args...))
}
