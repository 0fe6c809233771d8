package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openPoint opens the directory that a disk is mounted at, for reading, and makes it if
// need be. No symbolic link is followed.
func openPoint(at string) (*os.File, error) {
	if err := os.MkdirAll(at, 0o711); err != nil {
		return nil, notReady("making the mount point %s: %w", at, err)
	}
	d, err := openDir(at)
	if err != nil {
		return nil, notReady("mount point %s: %w", at, err)
	}
	return d, nil
}

// openDir opens a directory by an absolute path without symbolic links.
func openDir(path string) (*os.File, error) {
	return openat2(unix.AT_FDCWD, filepath.Clean(path), unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// openFile opens, or makes, a file of a directory.
func openFile(dir *os.File, name string, flags uint64) (*os.File, error) {
	var mode uint64
	if flags&unix.O_CREAT != 0 {
		mode = 0o600
	}
	f, err := openat2(int(dir.Fd()), name, flags|unix.O_NONBLOCK, mode)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func openat2(dir int, path string, flags, mode uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_NOFOLLOW | unix.O_CLOEXEC, Mode: mode, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat2(dir, path, &how)
		return err
	})
	if errors.Is(err, unix.ELOOP) {
		err = errors.Join(errors.New("there is a symbolic link in that path; it takes one without any"), err)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// anyName returns the name of something in a directory; "" if it is empty.
func anyName(dir *os.File) (string, error) {
	again, err := openDir(dir.Name())
	if err != nil {
		return "", err
	}
	defer again.Close()
	names, err := again.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return names[0], nil
}

// lock makes sure that no other process is at the same file.
func lock(f *os.File) error {
	err := retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another process is at it (it is locked)")
	}
	return err
}

// retry calls again what a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
