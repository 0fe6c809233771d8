// Package treetest compares directory trees, for tests of what copies them.
package treetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// maxDifferences is how many differences one error tells.
const maxDifferences = 10

// Equal tells how the tree b is not an exact copy of a (see package tree), but for
// o.SkipXattrs of the roots. Nobody may change them meanwhile. Trees may be deeper
// than PATH_MAX. The access times of symbolic links are left out, for reading them
// changes those; so is everything that Copy may leave out.
func Equal(a, b *os.File, o tree.Options) error {
	e := equal{skip: o.SkipXattrs, forth: map[fileID]fileID{}, back: map[fileID]fileID{}}
	if err := e.walk(int(a.Fd()), int(b.Fd())); err != nil {
		e.differ("%v", err)
	}
	return errors.Join(e.differences...)
}

type fileID struct{ dev, ino uint64 }

type equal struct {
	skip        []string
	path        []string
	forth, back map[fileID]fileID // which file of the other tree one was met with
	differences []error
}

func (e *equal) differ(format string, args ...any) {
	if len(e.differences) < maxDifferences {
		path := "." + string(filepath.Separator) + strings.Join(e.path, "/")
		e.differences = append(e.differences, fmt.Errorf("%s: %w", state.Quote(path), fmt.Errorf(format, args...)))
	}
}

// walk goes through both trees with two descriptors each.
func (e *equal) walk(rootA, rootB int) error {
	a, err := openDir(rootA, ".")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(a) }()
	b, err := openDir(rootB, ".")
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(b) }()
	move := func(path string) error {
		nextA, err := openDir(a, path)
		if err != nil {
			return err
		}
		nextB, err := openDir(b, path)
		if err != nil {
			_ = unix.Close(nextA)
			return err
		}
		_, _ = unix.Close(a), unix.Close(b)
		a, b = nextA, nextB
		return nil
	}

	var left [][]string // directories to enter, for each level
	for {
		subs, err := e.directory(a, b)
		if err != nil {
			return err
		}
		left = append(left, subs)
		for len(left[len(left)-1]) == 0 {
			if left = left[:len(left)-1]; len(left) == 0 {
				return nil
			}
			e.path = e.path[:len(e.path)-1]
			if err := move(".."); err != nil {
				return err
			}
		}
		level := left[len(left)-1]
		left[len(left)-1] = level[1:]
		e.path = append(e.path, level[0])
		if err := move(level[0]); err != nil {
			return err
		}
		if len(e.differences) == maxDifferences {
			return errors.New("and more")
		}
	}
}

func openDir(dirfd int, path string) (int, error) {
	fd, err := unix.Openat(dirfd, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// directory compares two directories and what is in them, and returns those that
// are in both.
func (e *equal) directory(a, b int) (subs []string, err error) {
	var stA, stB unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &stA), unix.Fstat(b, &stB)); err != nil {
		return nil, err
	}
	e.stat(&stA, &stB)
	if err := e.open(a, b, &stA, len(e.path) == 0); err != nil {
		return nil, err
	}
	names, err := list(a)
	if err != nil {
		return nil, err
	}
	other, err := list(b)
	if err != nil {
		return nil, err
	}
	for _, n := range other {
		if _, found := slices.BinarySearch(names, n); !found {
			e.differ("%s is too much", state.Quote(n))
		}
	}
	for _, n := range names {
		if _, found := slices.BinarySearch(other, n); !found {
			e.differ("%s is missing", state.Quote(n))
			continue
		}
		e.path = append(e.path, n)
		isDir, err := e.entry(a, b, n)
		if err != nil {
			e.differ("%v", err)
		}
		e.path = e.path[:len(e.path)-1]
		if isDir {
			subs = append(subs, n)
		}
	}
	return subs, nil
}

func list(dirfd int) ([]string, error) {
	fd, err := openDir(dirfd, ".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), ".")
	defer f.Close()
	names, err := f.Readdirnames(0)
	slices.Sort(names)
	return names, err
}

func (e *equal) entry(a, b int, name string) (isDir bool, err error) {
	var stA, stB unix.Stat_t
	if err := errors.Join(unix.Fstatat(a, name, &stA, unix.AT_SYMLINK_NOFOLLOW), unix.Fstatat(b, name, &stB, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
		return false, err
	}
	kind := stA.Mode & unix.S_IFMT
	if kind != stB.Mode&unix.S_IFMT {
		e.differ("mode %#o, want %#o", stB.Mode, stA.Mode)
		return false, nil
	}
	if kind == unix.S_IFDIR {
		return true, nil // compared when it is entered
	}
	e.stat(&stA, &stB)
	if stA.Nlink != stB.Nlink {
		e.differ("%d names, want %d", stB.Nlink, stA.Nlink)
	}
	idA, idB := fileID{stA.Dev, stA.Ino}, fileID{stB.Dev, stB.Ino}
	if was, met := e.forth[idA]; met && was != idB {
		e.differ("is not linked as it should be")
	}
	if was, met := e.back[idB]; met && was != idA {
		e.differ("is linked to what it should not be")
	}
	e.forth[idA], e.back[idB] = idB, idA

	flags := unix.O_PATH
	if kind == unix.S_IFREG {
		flags = unix.O_RDONLY | unix.O_NOATIME | unix.O_NONBLOCK
	}
	fdA, err := unix.Openat(a, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fdA)
	fdB, err := unix.Openat(b, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fdB)
	switch kind {
	case unix.S_IFREG:
		if err := e.open(fdA, fdB, &stA, false); err != nil {
			return false, err
		}
		return false, e.contents(fdA, fdB, min(stA.Size, stB.Size))
	case unix.S_IFLNK:
		to, err := readlink(fdA)
		if err != nil {
			return false, err
		}
		if got, err := readlink(fdB); err != nil || got != to {
			e.differ("leads to %s (%v), want %s", state.Quote(got), err, state.Quote(to))
		}
	}
	return false, e.xattrs(fdA, fdB, false)
}

func readlink(fd int) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	return string(buf[:max(n, 0)]), err
}

func (e *equal) stat(a, b *unix.Stat_t) {
	kind := a.Mode & unix.S_IFMT
	if a.Mode != b.Mode {
		e.differ("mode %#o, want %#o", b.Mode, a.Mode)
	}
	if a.Uid != b.Uid || a.Gid != b.Gid {
		e.differ("owner %d:%d, want %d:%d", b.Uid, b.Gid, a.Uid, a.Gid)
	}
	if a.Rdev != b.Rdev {
		e.differ("device %#x, want %#x", b.Rdev, a.Rdev)
	}
	if kind != unix.S_IFDIR && a.Size != b.Size {
		e.differ("%d bytes, want %d", b.Size, a.Size)
	}
	if a.Mtim != b.Mtim {
		e.differ("modified %v, want %v", b.Mtim, a.Mtim)
	}
	if kind != unix.S_IFLNK && a.Atim != b.Atim {
		e.differ("accessed %v, want %v", b.Atim, a.Atim)
	}
}

// open compares what can be asked of an open file or directory.
func (e *equal) open(a, b int, st *unix.Stat_t, root bool) error {
	const kept = 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x400 | 0x10000 | 0x800000 // chattr(1): csSiadAXDC
	mask := kept
	if root {
		mask &^= 0x10 | 0x20
	}
	if flags, err := unix.IoctlGetInt(a, unix.FS_IOC_GETFLAGS); err == nil {
		if got, err := unix.IoctlGetInt(b, unix.FS_IOC_GETFLAGS); err == nil && got&mask != flags&mask {
			e.differ("flags %#x, want %#x", got&mask, flags&mask)
		}
	}
	return e.xattrs(a, b, root)
}

func (e *equal) xattrs(a, b int, root bool) error {
	want, err := xattrs(a)
	if err != nil {
		return err
	}
	got, err := xattrs(b)
	if err != nil {
		return err
	}
	for _, attrs := range []map[string]string{want, got} {
		for name := range attrs {
			if name == "security.selinux" || root && slices.Contains(e.skip, name) {
				delete(attrs, name)
			}
		}
	}
	for name, value := range want {
		if v, there := got[name]; !there || v != value {
			e.differ("attribute %s is %s (%v), want %s", state.Quote(name), state.Quote(v), there, state.Quote(value))
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			e.differ("attribute %s is too much", state.Quote(name))
		}
	}
	return nil
}

func xattrs(fd int) (map[string]string, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	buf := make([]byte, 64<<10)
	n, err := unix.Listxattr(path, buf)
	if err == unix.EOPNOTSUPP {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listxattr: %w", err)
	}
	all := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.SGI_ACL_") { // of XFS, for an ACL that is listed too
			continue
		}
		n, err := unix.Getxattr(path, name, buf)
		if err != nil {
			return nil, fmt.Errorf("getxattr %s: %w", state.Quote(name), err)
		}
		all[name] = string(buf[:n])
	}
	return all, nil
}

// contents compares what is in both files up to size, and roughly where they have
// holes: filesystems keep data in blocks of their own size.
func (e *equal) contents(a, b int, size int64) error {
	bufA, bufB := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); at < size; {
		dataA, err := nextData(a, at, size)
		if err != nil {
			return err
		}
		dataB, err := nextData(b, at, size)
		if err != nil {
			return err
		}
		if at = min(dataA, dataB); at == size {
			break
		}
		n, err := unix.Pread(a, bufA[:min(int64(len(bufA)), size-at)], at)
		if err != nil {
			return err
		}
		m, err := unix.Pread(b, bufB[:n], at)
		if err != nil {
			return err
		}
		if !bytes.Equal(bufA[:n], bufB[:m]) {
			e.differ("contents differ at %d or up to %d bytes behind", at, n)
			return nil
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
		at += int64(n)
	}
	return e.holes(a, b, size)
}

func (e *equal) holes(a, b int, size int64) error {
	want, err := dataBytes(a, size)
	if err != nil {
		return err
	}
	got, err := dataBytes(b, size)
	if err != nil {
		return err
	}
	if slack := 128<<10 + want/8; got > want+slack || got < want-slack {
		e.differ("%d bytes of data besides holes, want %d", got, want)
	}
	return nil
}

func dataBytes(fd int, size int64) (sum int64, err error) {
	for at := int64(0); at < size; {
		data, err := nextData(fd, at, size)
		if err != nil {
			return 0, err
		}
		if data == size {
			break
		}
		if at, err = unix.Seek(fd, data, unix.SEEK_HOLE); err != nil {
			return 0, fmt.Errorf("lseek: %w", err)
		}
		sum += at - data
	}
	return sum, nil
}

func nextData(fd int, at, size int64) (int64, error) {
	data, err := unix.Seek(fd, at, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return size, nil
	}
	if err != nil {
		return 0, fmt.Errorf("lseek: %w", err)
	}
	return min(data, size), nil
}
