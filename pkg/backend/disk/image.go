package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// image is an open image file and its loop device.
type image struct {
	file *os.File // locked, while it is open
	id   loop.File
	a    *loop.Attachment // nil until it is attached
}

// openImage opens the image, makes it if it may, and attaches it.
func (d Disk) openImage(ctx context.Context, fs kind, mayMake bool) (_ source, err error) {
	parent, name := filepath.Split(d.Image)
	dir, err := openDir(parent)
	if err != nil {
		return nil, notReady("directory of %s: %w", d, err)
	}
	defer dir.Close()
	f, err := openFile(dir, name, unix.O_RDWR)
	if errors.Is(err, unix.ENOENT) && !mayMake {
		return nil, notReady("%s is not there, though its pool was here: bring it back, or mount the disk it is on, for it is never made again, empty: %w", d, ErrNothing)
	}
	if errors.Is(err, unix.ENOENT) {
		if err := d.makeImage(ctx, fs, dir, name); err != nil {
			return nil, err
		}
		f, err = openFile(dir, name, unix.O_RDWR)
	}
	if err != nil {
		return nil, notReady("opening %s: %w", d, err)
	}
	s := &image{file: f}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := lock(f); err != nil {
		return nil, notReady("%s: %w", d, err)
	}
	if _, err := s.look(d); err != nil {
		return nil, err
	}
	if err := s.attach(ctx, d); err != nil {
		return nil, err
	}
	return s, nil
}

// makeImage builds the image under another name, and gives it its own.
func (d Disk) makeImage(ctx context.Context, fs kind, dir *os.File, name string) (err error) {
	if d.bytes() < MinBytes {
		return state.Errorf(state.Invalid, "%s is to have %d bytes; it takes at least %d", d, d.SizeBytes, int64(MinBytes))
	}
	if err := fs.maker.find(); err != nil {
		return err
	}
	building := "." + name + ".new"
	if err := unix.Unlinkat(int(dir.Fd()), building, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return notReady("removing what is left of an earlier attempt to make %s: %w", d, err)
	}
	f, err := openFile(dir, building, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return notReady("making %s: %w", d, err)
	}
	defer f.Close()
	defer func() {
		if err != nil {
			_ = unix.Unlinkat(int(dir.Fd()), building, 0)
		}
	}()
	if err := pool.OverwriteInPlace(f); err != nil {
		return notReady("making %s: %w", d, err)
	}
	if err := d.allocate(f, 0); err != nil {
		return err
	}
	crash.Step(crash.DiskAllocated)
	if err := fs.maker.run(ctx, f); err != nil {
		return notReady("formatting %s: %w", d, err)
	}
	crash.Step(crash.DiskFormatted)
	if err := f.Sync(); err != nil {
		return notReady("syncing %s: %w", d, err)
	}
	if err := unix.Renameat2(int(dir.Fd()), building, int(dir.Fd()), name, unix.RENAME_NOREPLACE); err != nil {
		return notReady("naming %s: %w", d, err)
	}
	crash.Step(crash.DiskPlaced)
	if err := dir.Sync(); err != nil {
		return notReady("syncing the directory of %s: %w", d, err)
	}
	return nil
}

// allocate gives a file that has so many bytes the declared size.
func (d Disk) allocate(f *os.File, from int64) error {
	to := d.bytes()
	if d.Provisioning != state.Thin {
		// The size changes once the blocks are there.
		err := retry(func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, to-from) })
		switch {
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return state.Errorf(state.Unsupported, "the filesystem of %s cannot set room aside for a file: declare provisioning: thin", d)
		case err != nil:
			// What a filesystem that is full has given, it gets back at once.
			return d.full(f, to, errors.Join(err, f.Truncate(from)))
		}
	}
	if err := f.Truncate(to); err != nil {
		return d.full(f, to, err)
	}
	return nil
}

// full tells of a filesystem that has no room for the image.
func (d Disk) full(f *os.File, to int64, err error) error {
	var st unix.Statfs_t
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) || unix.Fstatfs(int(f.Fd()), &st) != nil {
		return notReady("giving %s %d bytes: %w", d, to, err)
	}
	return state.Errorf(state.NoSpace, "%s is to have %d bytes, and its filesystem has %d left: make room, or declare less (or provisioning: thin, which takes room as it is written): %w",
		d, to, int64(st.Bavail)*st.Frsize, err)
}

// look finds out which file the image is, and how large. It is never made smaller.
func (s *image) look(d Disk) (bytes int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.file.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat of %s: %w", d, err)
	}
	s.id = loop.File{Dev: st.Dev, Ino: st.Ino}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return 0, state.Errorf(state.Invalid, "%s is no regular file", d)
	case d.bytes() < st.Size:
		return 0, state.Errorf(state.Invalid, "%s is declared with %d bytes and has %d: it cannot be made smaller; declare at least that", d, d.SizeBytes, st.Size)
	}
	return st.Size, nil
}

// extend gives the image its declared size, durably, and its device, too. That is done
// once it is mounted: what is shorter than the filesystem in it was cut, and no kernel
// mounts it; made longer it would have a filesystem with a hole.
func (s *image) extend(d Disk) error {
	has, err := s.look(d)
	if err != nil || has == d.bytes() {
		return err
	}
	if err := d.allocate(s.file, has); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return notReady("syncing %s: %w", d, err)
	}
	crash.Step(crash.DiskExtended)
	return s.growDevice(d)
}

// attach finds the image's loop device, or makes one.
func (s *image) attach(ctx context.Context, d Disk) error {
	base := filepath.Base(d.Image)
	found, err := loop.Loop{}.Find(func(path string) bool { return filepath.Base(path) == base })
	if err != nil {
		return notReady("%s: %w", d, err)
	}
	for _, a := range found {
		if a.File != s.id {
			a.Close()
			continue
		}
		if s.a != nil {
			a.Close()
			return notReady("%s is attached to two loop devices, %s and %s: detach the one that is not mounted (losetup -d)",
				d, loop.Path(s.a.Number), loop.Path(a.Number))
		}
		s.a = a
	}
	if s.a == nil {
		if s.a, err = (loop.Loop{}).Attach(ctx, s.file, loop.Options{Lapsing: true}); err != nil {
			return notReady("%s: %w", d, err)
		}
		crash.Step(crash.DiskAttached)
	}
	if s.a.ReadOnly {
		return notReady("%s is attached read-only to %s: detach it (losetup -d)", d, loop.Path(s.a.Number))
	}
	return s.growDevice(d)
}

// growDevice makes the loop device as large as the image.
func (s *image) growDevice(d Disk) error {
	has, err := s.a.Bytes()
	if err != nil {
		return err
	}
	st, err := s.file.Stat()
	if err != nil {
		return err
	}
	if has == st.Size() {
		return nil
	}
	if err := s.a.Grow(); err != nil {
		return notReady("growing the loop device of %s: %w", d, err)
	}
	return nil
}

func (s *image) device() string { return loop.Path(s.a.Number) }

func (s *image) is(major, minor uint32) (bool, error) {
	number, ok := loop.NumberOf(major, minor)
	return ok && number == s.a.Number, nil
}

func (s *image) bytes() (int64, error) { return s.a.Bytes() }

func (s *image) close() {
	if s.a != nil {
		s.a.Close() // which frees the device if it was not mounted
	}
	_ = s.file.Close()
}
