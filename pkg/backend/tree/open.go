package tree

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// beneath refuses all that could lead out of a directory. A symbolic link at the
// end can still be opened as a place, with O_PATH and O_NOFOLLOW.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// retry repeats what a signal interrupted.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func openBeneath(dirfd int, path string, flags uint64) (fd int, err error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: beneath}
	for {
		fd, err = unix.Openat2(dirfd, path, &how)
		if err != unix.EINTR && err != unix.EAGAIN { // EAGAIN: a rename elsewhere raced the lookup
			return fd, err
		}
	}
}

// openPlace opens a name without any effect on what it names.
func openPlace(dirfd int, name string) (int, error) { return openBeneath(dirfd, name, unix.O_PATH) }

// openDir opens a directory, which has no effect either, to be listed or to make
// entries in. The source's access times are left as they are, if that is allowed.
func (c *copier) openDir(dirfd int, path string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY
	if !c.features.noNoatime.Load() {
		fd, err := openBeneath(dirfd, path, flags|unix.O_NOATIME)
		if err != unix.EPERM {
			return fd, err
		}
		c.features.noNoatime.Store(true)
	}
	return openBeneath(dirfd, path, flags)
}

// openProc opens the directory through which a place becomes a file: an O_PATH
// descriptor names one inode, whatever happens to the name it was opened by, and
// opening its entry in /proc/self/fd opens that inode and no other.
func openProc() (int, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, state.Errorf(state.Unavailable, "copying needs /proc: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || st.Type != unix.PROC_SUPER_MAGIC {
		_ = unix.Close(fd)
		return -1, state.Errorf(state.Unavailable, "copying needs /proc: /proc/self/fd is of another filesystem (%#x, %v)", st.Type, err)
	}
	return fd, nil
}

// procPath leads to what fd is open on, for calls that take no descriptor. Unlike
// others, this link is followed to the inode and, if that is a symbolic link
// itself, not beyond.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openFile opens the regular file at a place for reading.
func (c *copier) openFile(place int) (fd int, err error) {
	// A lease that another process holds on the file would hold up the open for
	// as long as it likes (fs.lease-break-time): O_NONBLOCK makes that an EAGAIN.
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	name := strconv.Itoa(place)
	for {
		noatime := unix.O_NOATIME
		if c.features.noNoatime.Load() {
			noatime = 0
		}
		fd, err = unix.Openat(c.proc, name, flags|noatime, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EPERM && noatime != 0:
			c.features.noNoatime.Store(true)
		case err == unix.EAGAIN:
			if err := c.leases.wait(c.stop); err != nil {
				return -1, err
			}
		default:
			return fd, err
		}
	}
}

func stat(fd int, st *unix.Statx_t) error {
	const mask = unix.STATX_BASIC_STATS | unix.STATX_BTIME
	return retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, st) })
}

// identity tells directories apart, as long as they are there.
type identity struct {
	major, minor uint32
	ino          uint64
}

func identify(st *unix.Statx_t) identity { return identity{st.Dev_major, st.Dev_minor, st.Ino} }
