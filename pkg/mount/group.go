package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// SetGroup gives a volume to a group, as CSI's volume_mount_group asks: the root
// directory that root is open on, with O_PATH or otherwise, and all beneath it, belong to
// the group then; the group may read and write everything, and what is made in a
// directory is the group's, too (setgid).
//
// A root that is so already tells that all is: then nothing beneath it is looked at, so
// that to publish a volume again takes one system call, and what its users have taken
// from the group meanwhile stays theirs. The root is therefore changed last; a walk that
// was cut short begins anew.
//
// A pod may be writing to the volume meanwhile. No symbolic link is followed and no other
// mount entered; only one directory is open at a time, however deep they lie in another.
// The group of a symbolic link is changed. Device nodes are left alone: who may use the
// device is not for a volume to say. A file's setgid bit is taken away, since it
// would hand on the new group.
func SetGroup(ctx context.Context, root *os.File, gid int) error {
	defer runtime.KeepAlive(root)
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return state.Errorf(reasonOf(err), "the volume's directory: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || isGroups(&st, gid) {
		return nil
	}
	dir, err := openBeneath(int(root.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err == nil {
		w := groupWalk{gid: gid}
		err = w.all(ctx, dir)
	}
	if err != nil {
		return state.Errorf(walkReason(err), "giving the volume to group %d: %w", gid, err)
	}
	return nil
}

func walkReason(err error) state.Reason {
	if r := state.ReasonOf(err); r != state.Defect {
		return r
	}
	return reasonOf(err)
}

// groupBits are what a directory, or a file, has for its group.
const (
	groupDirBits  = unix.S_ISGID | 0o070
	groupFileBits = 0o060
)

// isGroups tells whether there is nothing to be done about something.
func isGroups(st *unix.Stat_t, gid int) bool {
	if st.Gid != uint32(gid) {
		return false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return st.Mode&groupDirBits == groupDirBits
	case unix.S_IFLNK:
		return true
	}
	return st.Mode&groupFileBits == groupFileBits
}

// groupWalk goes through a tree, the contents of a directory before the directory.
type groupWalk struct {
	gid   int
	above []level
}

// level is a directory on the way, which is not open but when its turn comes.
type level struct {
	id   identity
	rest []string // names that are still to be looked at
}

// all changes everything beneath dir, which it closes, and dir itself last.
func (w *groupWalk) all(ctx context.Context, dir int) (err error) {
	defer func() { unix.Close(dir) }()
	at, err := w.enter(dir)
	if err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(at.rest) > 0 {
			name := at.rest[0]
			at.rest = at.rest[1:]
			sub, err := w.entry(dir, name)
			if err != nil {
				return err
			}
			if sub >= 0 {
				w.above = append(w.above, at)
				unix.Close(dir)
				dir = sub
				if at, err = w.enter(dir); err != nil {
					return err
				}
			}
			continue
		}
		if err := w.give(dir); err != nil {
			return err
		}
		if len(w.above) == 0 {
			return nil
		}
		at = w.above[len(w.above)-1]
		w.above = w.above[:len(w.above)-1]
		if dir, err = up(dir, at.id); err != nil {
			return err
		}
	}
}

// enter begins with a directory.
func (w *groupWalk) enter(dir int) (level, error) {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return level{}, fmt.Errorf("fstat: %w", err)
	}
	names, err := namesIn(dir)
	return level{id: identity{dev: st.Dev, ino: st.Ino}, rest: names}, err
}

// up closes a directory and opens the one that it lies in, which must be the one that the
// walk came from.
func up(dir int, want identity) (int, error) {
	parent, err := unix.Openat(dir, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir, fmt.Errorf("open ..: %w", err)
	}
	var st unix.Stat_t
	err = unix.Fstat(parent, &st)
	if err == nil && (identity{dev: st.Dev, ino: st.Ino}) != want {
		err = state.Errorf(state.Busy, "a directory was moved at this instant; try again")
	}
	if err != nil {
		unix.Close(parent)
		return dir, err
	}
	unix.Close(dir)
	return parent, nil
}

func namesIn(dir int) ([]string, error) {
	fd, err := openBeneath(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "volume")
	defer f.Close()
	return f.Readdirnames(-1)
}

// entry changes something in a directory; a directory it opens instead, and returns. What
// vanished meanwhile, or is a mount of its own, is nothing.
func (w *groupWalk) entry(dir int, name string) (sub int, err error) {
	fd, err := openBeneathLast(dir, name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EXDEV) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, fmt.Errorf("fstat: %w", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return openBeneath(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	case unix.S_IFBLK, unix.S_IFCHR:
		return -1, nil
	}
	return -1, w.give(fd)
}

// openBeneathLast opens, with O_PATH, what a directory has under a name, be it a symbolic
// link.
func openBeneathLast(dir int, name string) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV}
	err = retry(func() error {
		fd, err = unix.Openat2(dir, name, &how)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", state.Quote(name), err)
	}
	return fd, nil
}

// give changes what fd is open on.
func (w *groupWalk) give(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	if isGroups(&st, w.gid) {
		return nil
	}
	kind, mode := st.Mode&unix.S_IFMT, st.Mode&0o7777
	if st.Gid != uint32(w.gid) {
		if err := unix.Fchownat(fd, "", -1, w.gid, unix.AT_EMPTY_PATH); err != nil {
			return fmt.Errorf("chown: %w", err)
		}
		if kind != unix.S_IFDIR {
			mode &^= unix.S_ISGID
		}
	}
	switch kind {
	case unix.S_IFLNK:
		return nil
	case unix.S_IFDIR:
		mode |= groupDirBits
	default:
		mode |= groupFileBits
	}
	// By its link in /proc, for chmod takes no descriptor of O_PATH.
	if err := unix.Chmod(procPath(fd), mode); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return nil
}
