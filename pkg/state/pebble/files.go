package pebble

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// makeDir makes dir for root's eyes only, durably. A directory that exists is
// left as it is.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// writeDurably makes content that of the file, or leaves the file as it was,
// whenever the power goes.
func writeDurably(path string, content []byte) error {
	temp := path + ".tmp"
	if err := writeSynced(temp, content); err != nil {
		return err
	}
	return renameDurably(temp, path)
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// renameDurably renames within one directory.
func renameDurably(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// holdsFiles tells whether there is anything in a directory that may not exist.
func holdsFiles(path string) (bool, error) {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return len(entries) > 0, err
}
