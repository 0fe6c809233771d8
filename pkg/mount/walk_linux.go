package mount

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// targetMode is that of the directories made here, as the kubelet makes its own.
const targetMode = 0o750

// made is what open has made: a directory, or a file, called name in the directory dir.
type made struct {
	dir  int
	name string
	kind kind
}

// open retries when a directory vanishes between being seen and being used: a
// publish next door that failed removes the parents it made.
func (linux) open(target string, create kind) (place, error) {
	const tries = 100
	for i := 1; ; i++ {
		s, err := openOnce(target, create)
		if err == nil {
			return s, nil
		}
		if create == nothing || i == tries || !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
}

func openOnce(target string, create kind) (_ *spot, err error) {
	parent, name := filepath.Split(target)
	s := &spot{dir: -1, name: name}
	defer func() {
		if err != nil {
			s.undo()
			s.close()
		}
	}()
	// Mostly the parents are there, and one call finds them.
	s.dir, err = openBeneath(unix.AT_FDCWD, parent, unix.O_PATH|unix.O_DIRECTORY, 0)
	if create != nothing && errors.Is(err, unix.ENOENT) {
		err = s.makeParents(parent)
	}
	if err != nil || create == nothing {
		return s, err
	}
	return s, s.make(s.dir, name, create)
}

// makeParents walks from the root, making what is missing, and leaves the last
// directory in s.dir.
func (s *spot) makeParents(parent string) error {
	dir, err := openBeneath(unix.AT_FDCWD, "/", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.Trim(parent, "/"), "/") {
		next, err := openBeneath(dir, name, unix.O_PATH|unix.O_DIRECTORY, 0)
		if errors.Is(err, unix.ENOENT) {
			if err = s.make(dir, name, directory); err == nil {
				next, err = openBeneath(dir, name, unix.O_PATH|unix.O_DIRECTORY, 0)
			}
		}
		unix.Close(dir)
		if err != nil {
			return err
		}
		dir = next
	}
	s.dir = dir
	return nil
}

// make makes a directory, or an empty file, and remembers that, unless there is
// something already.
func (s *spot) make(dir int, name string, k kind) error {
	err := retry(func() error {
		if k == regular {
			return makeFile(dir, name)
		}
		return unix.Mkdirat(dir, name, targetMode)
	})
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", state.Quote(name), err)
	}
	held, err := unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		_ = (&spot{dir: dir, name: name}).remove(k)
		return fmt.Errorf("dup: %w", err)
	}
	s.made = append(s.made, made{held, name, k})
	return nil
}

// makeFile makes an empty file: EEXIST if there is anything, even a symbolic link.
func makeFile(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// openBeneath opens a path that must have no symbolic link in it, neither on the
// way nor at its end: ELOOP.
func openBeneath(dir int, path string, flags int, resolve uint64) (fd int, err error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	err = retry(func() error {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", state.Quote(path), err)
	}
	return fd, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
