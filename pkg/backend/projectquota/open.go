package projectquota

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
)

// openAt opens a path beneath the pool; no symbolic link is followed, no other mount
// entered.
func openAt(root *os.File, path string, flags uint64) (*os.File, error) {
	how := unix.OpenHow{
		Flags:   flags | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	if flags&unix.O_TMPFILE == unix.O_TMPFILE {
		how.Mode = 0o600
	}
	for {
		fd, err := unix.Openat2(int(root.Fd()), path, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), path), nil
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN): // EAGAIN: a rename elsewhere raced the lookup
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// sharesBlocks tries whether one file can be made to share the blocks of another. The
// files have no names and no blocks, and nothing is left of them. Where that cannot be
// tried, on a full disk say, copies are made the slow way.
func sharesBlocks(root *os.File) bool {
	var files [2]*os.File
	for i := range files {
		f, err := openAt(root, pool.BuildDir, unix.O_TMPFILE|unix.O_RDWR)
		if err != nil {
			return false
		}
		defer f.Close()
		files[i] = f
	}
	return unix.IoctlFileClone(int(files[0].Fd()), int(files[1].Fd())) == nil
}
