package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
)

// scrubChunk is how much is overwritten at a time.
const scrubChunk = 1 << 20

// Scrub overwrites with zeros, durably, the contents of every file of an entry of the
// trash, so that they are gone from the disk before its blocks are anybody else's. That
// is so where a filesystem writes a file's blocks where they are: XFS and ext4 do, btrfs
// does not. Names, attributes and what other copies share is not overwritten, nor what
// a disk keeps elsewhere by itself. It may be called again after it was cut short.
func (p *Pool) Scrub(ctx context.Context, entry string, progress func(inodes int)) error {
	if err := checkEntry(entry); err != nil {
		return err
	}
	s := scrub{ctx: ctx, zeros: make([]byte, scrubChunk), progress: progress}
	if err := s.entry(p.trash.fd(), entry, 0); err != nil {
		return fmt.Errorf("overwriting %s: %w", filepath.Join(p.path, TrashDir, entry), err)
	}
	return nil
}

type scrub struct {
	ctx      context.Context
	zeros    []byte
	progress func(inodes int)
}

func (s *scrub) entry(dirfd int, name string, depth int) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreGone(err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return s.file(dirfd, name)
	case unix.S_IFDIR:
		return s.dir(dirfd, name, depth)
	}
	return nil
}

func (s *scrub) dir(dirfd int, name string, depth int) error {
	if depth >= maxCountDepth {
		return fmt.Errorf("%s lies more than %d directories deep: move what is in it up", name, maxCountDepth)
	}
	fd, err := openDirAt(dirfd, name)
	if err != nil {
		return ignoreGone(err)
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	for {
		names, _ := d.Readdirnames(256)
		if len(names) == 0 {
			return nil
		}
		for _, n := range names {
			if err := s.entry(fd, n, depth+1); err != nil {
				return err
			}
		}
	}
}

// file overwrites what a file has blocks for; holes have none.
func (s *scrub) file(dirfd int, name string) error {
	const how = unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	fd, err := openAt(dirfd, name, how)
	if errors.Is(err, unix.EPERM) && makeMutable(dirfd, name) {
		fd, err = openAt(dirfd, name, how)
	}
	if err != nil {
		return ignoreGone(err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := s.overwrite(f); err != nil {
		return err
	}
	s.progress(1)
	crash.Step(crash.PurgeScrubbing)
	return nil
}

func (s *scrub) overwrite(f *os.File) error {
	fd, name := int(f.Fd()), f.Name()
	for at := int64(0); ; {
		from, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // no data beyond
			break
		}
		if err != nil {
			return &os.PathError{Op: "seek", Path: name, Err: err}
		}
		to, err := unix.Seek(fd, from, unix.SEEK_HOLE)
		if err != nil {
			return &os.PathError{Op: "seek", Path: name, Err: err}
		}
		for at = from; at < to; {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			n, err := f.WriteAt(s.zeros[:min(int64(len(s.zeros)), to-at)], at)
			if err != nil {
				return err
			}
			at += int64(n)
		}
	}
	return f.Sync()
}

// ignoreGone is for what is removed, or was replaced, meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
		return nil
	}
	return err
}
