package pool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Look opens the pool at path as Open does, for one who only looks: it makes nothing
// that is missing, so that a pool can be looked at while a driver serves it, and on a
// disk that is read-only. What is missing is taken for empty.
func Look(path string) (_ *Pool, err error) {
	p, err := openMarked(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	for name, d := range p.directories() {
		fd, err := openDirAt(int(p.root.Fd()), name)
		if errors.Is(err, unix.ENOENT) {
			fd, err = openDirAt(int(p.root.Fd()), ".") // it is held and not used: Names lists nothing that could be looked for in it
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: filepath.Join(path, name), Err: err}
		}
		*d = &dir{File: os.NewFile(uintptr(fd), filepath.Join(path, name))}
	}
	return p, nil
}

// Names lists one of the pool's directories, sorted; none if it is missing.
func (p *Pool) Names(dir string) ([]string, error) {
	names, err := namesIn(int(p.root.Fd()), dir)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	slices.Sort(names)
	return names, err
}
