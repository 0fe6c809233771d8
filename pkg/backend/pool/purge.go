package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
)

// maxPurgeDepth is how many directories deep a removal goes, holding one
// descriptor each; what lies deeper is moved up first.
const maxPurgeDepth = 64

// progressEvery is how many inodes are removed between two words of progress.
const progressEvery = 10000

// Purge removes one entry of .trash, whatever a pod made of it: trees deeper than
// PATH_MAX, immutable files, names of any bytes. It follows no symbolic link and
// enters no other mount. progress is told how many inodes went since the last call.
//
// It needs no sync: after a power cut the next scan finds what came back.
func (p *Pool) Purge(ctx context.Context, name string, progress func(inodes int)) error {
	if err := checkEntry(name); err != nil {
		return err
	}
	r := purge{ctx: ctx, trash: p.trash.fd(), name: name, todo: []string{name}, progress: progress}
	defer r.tell()
	for len(r.todo) > 0 {
		next := r.todo[len(r.todo)-1]
		r.todo = r.todo[:len(r.todo)-1]
		if err := r.remove(r.trash, next, 0); err != nil {
			return fmt.Errorf("removing %s: %w", filepath.Join(p.path, TrashDir, next), err)
		}
	}
	return nil
}

// InTrash calls do with a descriptor of .trash, for a backend that has a quicker way
// to remove an entry than Purge.
func (p *Pool) InTrash(do func(dirfd int) error) error { return do(p.trash.fd()) }

type purge struct {
	ctx      context.Context
	trash    int
	name     string
	todo     []string // entries of the trash: the one asked for, and what was raised out of it
	raised   int
	removed  int // inodes
	told     int // of those, what progress knows of
	progress func(inodes int)
}

// remove removes name in dirfd with all that is in it.
func (r *purge) remove(dirfd int, name string, depth int) error {
	err := r.unlink(dirfd, name, 0)
	if !errors.Is(err, unix.EISDIR) {
		return err
	}
	if err = r.unlink(dirfd, name, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	if depth == maxPurgeDepth {
		return r.raise(dirfd, name)
	}
	fd, err := openDirAt(dirfd, name)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	for {
		before := r.total()
		if err := r.removeEntries(d, depth); err != nil {
			return err
		}
		err := r.unlink(dirfd, name, unix.AT_REMOVEDIR)
		if !errors.Is(err, unix.ENOTEMPTY) || r.total() == before {
			return err
		}
		// Some filesystems skip entries while others are removed: once more.
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

// removeEntries removes what a directory holds, going on after a failure so that
// one stubborn file does not keep the others' space. It returns the first failure.
func (r *purge) removeEntries(d *os.File, depth int) error {
	var failed error
	for {
		names, _ := d.Readdirnames(1024)
		if len(names) == 0 {
			return failed
		}
		for _, n := range names {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			if err := r.remove(int(d.Fd()), n, depth+1); err != nil && failed == nil {
				failed = err
			}
		}
	}
}

// raise moves a directory that lies too deep up into the trash, to be removed from
// there: a path has no end, descriptors do.
func (r *purge) raise(dirfd int, name string) error {
	for {
		r.raised++
		up := r.name + "." + strconv.Itoa(r.raised)
		err := unix.Renameat2(dirfd, name, r.trash, up, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EEXIST) {
			continue // left there by a removal that was cut short
		}
		if errors.Is(err, unix.EPERM) && makeMutable(dirfd, name) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "rename", Path: name, Err: err}
		}
		r.todo = append(r.todo, up)
		return nil
	}
}

// unlink removes one name. An immutable or append-only file is made an ordinary
// one first: what is in the trash has no owner any more who could want that.
func (r *purge) unlink(dirfd int, name string, flags int) error {
	err := unix.Unlinkat(dirfd, name, flags)
	if errors.Is(err, unix.EPERM) && makeMutable(dirfd, name) {
		err = unix.Unlinkat(dirfd, name, flags)
	}
	switch {
	case err == nil:
		crash.Step(crash.PurgeStarted)
		if r.removed++; r.removed%progressEvery == 0 {
			r.tell()
		}
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTEMPTY):
		return err
	case errors.Is(err, unix.EEXIST): // what POSIX allows in place of ENOTEMPTY
		return unix.ENOTEMPTY
	}
	return &os.PathError{Op: "unlink", Path: name, Err: err}
}

// total counts what was done: removals, and directories moved out of the way.
func (r *purge) total() int { return r.removed + r.raised }

func (r *purge) tell() {
	r.progress(r.removed - r.told)
	r.told = r.removed
}

const immutable = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND

// makeMutable clears the flags that forbid the removal of name: its own, and those
// of the directory it is in.
func makeMutable(dirfd int, name string) bool {
	cleared := clearFlags(dirfd)
	var st unix.Statx_t
	if unix.Statx(dirfd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_TYPE, &st) != nil || st.Attributes&immutable == 0 {
		return cleared
	}
	if t := st.Mode & unix.S_IFMT; t != unix.S_IFREG && t != unix.S_IFDIR {
		return cleared // opening a device or a pipe does things
	}
	fd, err := openAt(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return cleared
	}
	defer unix.Close(fd)
	return clearFlags(fd) || cleared
}

func clearFlags(fd int) bool {
	const immutableFlags = 0x10 | 0x20 // FS_IMMUTABLE_FL | FS_APPEND_FL, linux/fs.h
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&immutableFlags == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^immutableFlags) == nil
}
