package loop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// SectorBytes divides the size of every file that is attached: the size of a device is
// counted in sectors, and what a file has beyond the last could not be reached.
const SectorBytes = 512

// Path is where the node of a device lies.
func Path(number int) string { return "/dev/" + name(number) }

func name(number int) string { return "loop" + strconv.Itoa(number) }

// File tells the files of one boot apart (st_dev, st_ino).
type File struct{ Dev, Ino uint64 }

// Loop attaches files. The zero value is ready.
type Loop struct {
	kernel kernel // for tests; nil: the real one
}

func (l Loop) k() kernel {
	if l.kernel == nil {
		return linux{}
	}
	return l.kernel
}

// Attachment is a device that has a file. It holds the device open until Close, or
// Detach, which closes it too.
type Attachment struct {
	// Number is the N of /dev/loopN.
	Number int
	// File is what the device has.
	File File
	// ReadOnly: the device takes no writes. DirectIO: it goes around the page cache.
	ReadOnly, DirectIO bool

	lapsing bool // it is freed at its last close
	path    string
	kernel  kernel
	device  device
}

// Options say how a file is attached.
type Options struct {
	// ReadOnly makes a device that takes no writes, whoever opens it.
	ReadOnly bool
	// Lapsing makes a device that is freed at its last close: once it is not mounted any
	// more, if the Attachment was closed, or its process killed.
	Lapsing bool
}

// attempts bounds how often others may be faster to take the device that the kernel
// said was free.
const attempts = 1000

// Attach makes the file that image is open on, with O_PATH or otherwise, a block device
// of exactly its size, with direct I/O where the filesystem has that. The device stays
// when the process ends.
func (l Loop) Attach(ctx context.Context, image *os.File, o Options) (*Attachment, error) {
	flags := os.O_RDWR
	if o.ReadOnly {
		flags = os.O_RDONLY
	}
	backing, err := l.k().reopen(image, flags)
	if err != nil {
		return nil, fail(fmt.Errorf("opening %s: %w", image.Name(), err))
	}
	defer backing.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(backing.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat of %s: %w", image.Name(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 || st.Size%SectorBytes != 0 {
		return nil, state.Errorf(state.Invalid, "%s cannot be a block device: it has the mode %#o and %d bytes; it takes a file with a multiple of %d",
			image.Name(), st.Mode, st.Size, SectorBytes)
	}
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags = unix.LO_FLAGS_DIRECT_IO
	if o.ReadOnly {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
	}
	if o.Lapsing {
		config.Info.Flags |= unix.LO_FLAGS_AUTOCLEAR
	} else {
		config.Size = sectorBytes(backing, st.Size)
	}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], filepath.Base(image.Name())) // for who looks with losetup
	for range attempts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		number, d, err := l.take(&config, o.ReadOnly)
		if err == nil {
			return l.adopt(number, d, &st)
		}
		if !isTaken(err) {
			return nil, fail(fmt.Errorf("attaching %s: %w", image.Name(), err))
		}
	}
	return nil, state.Errorf(state.NotReady, "attaching %s: other programs took the free loop device %d times in a row", image.Name(), attempts)
}

// isTaken tells that another program took, or removed, the device that was free.
func isTaken(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENXIO)
}

// take asks for a free device and configures it.
func (l Loop) take(config *unix.LoopConfig, readOnly bool) (int, device, error) {
	number, err := l.k().free()
	if err != nil {
		return 0, nil, err
	}
	d, err := l.k().open(number, readOnly)
	if err != nil {
		return 0, nil, err
	}
	err = d.configure(config)
	if errors.Is(err, unix.EINVAL) && config.Info.Flags&unix.LO_FLAGS_DIRECT_IO != 0 {
		// Some kernels fall back by themselves where there is no direct I/O.
		config.Info.Flags &^= unix.LO_FLAGS_DIRECT_IO
		err = d.configure(config)
	}
	if err != nil {
		return 0, nil, errors.Join(err, d.close())
	}
	return number, d, nil
}

// adopt makes sure that a device which was just configured is what was asked for; if
// not, it is freed.
func (l Loop) adopt(number int, d device, st *unix.Stat_t) (*Attachment, error) {
	a, err := l.attachment(number, d)
	if err == nil && a.File != (File{st.Dev, st.Ino}) {
		err = fmt.Errorf("%s has another file than it was given", Path(number))
	}
	if err == nil {
		var bytes int64
		if bytes, err = d.size(); err == nil && bytes != st.Size {
			err = fmt.Errorf("%s has %d bytes, its file %d", Path(number), bytes, st.Size)
		}
	}
	if err != nil {
		return nil, fail(errors.Join(err, d.clear(), d.close()))
	}
	return a, nil
}

// attachment looks at an open device. ENXIO: it has no file.
func (l Loop) attachment(number int, d device) (*Attachment, error) {
	info, err := d.status()
	if err != nil {
		return nil, err
	}
	path, err := l.k().path(number)
	if err != nil {
		return nil, err
	}
	return &Attachment{Number: number, File: File{info.Device, info.Inode},
		ReadOnly: info.Flags&unix.LO_FLAGS_READ_ONLY != 0, DirectIO: info.Flags&unix.LO_FLAGS_DIRECT_IO != 0,
		lapsing: info.Flags&unix.LO_FLAGS_AUTOCLEAR != 0, path: path, kernel: l.k(), device: d}, nil
}

// Find returns the attachments whose file is at a path that wanted accepts: several of
// one file if somebody else attached it as well. The path is where the file is, or was
// before it was removed, as far as this process can see that; its last element is true
// in any case. The caller closes each.
func (l Loop) Find(wanted func(path string) bool) ([]*Attachment, error) {
	bound, err := l.k().bound()
	if err != nil {
		return nil, fail(fmt.Errorf("listing loop devices: %w", err))
	}
	var all []*Attachment
	for number, path := range bound {
		if !wanted(strings.TrimSuffix(path, deletedMark)) {
			continue
		}
		a, err := l.Open(number)
		if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
			continue // it was freed meanwhile
		}
		if err != nil {
			Close(all)
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// Open returns what a device has; an error that wraps ENXIO if it has no file. The
// caller closes it.
func (l Loop) Open(number int) (*Attachment, error) {
	d, err := l.k().open(number, true)
	if err != nil {
		return nil, fail(fmt.Errorf("looking at %s: %w", Path(number), err))
	}
	a, err := l.attachment(number, d)
	if err != nil {
		return nil, fail(errors.Join(err, d.close()))
	}
	return a, nil
}

// Close closes all of several attachments.
func Close(all []*Attachment) {
	for _, a := range all {
		a.Close()
	}
}

// deletedMark is what the kernel adds to the path of a file that was removed.
const deletedMark = " (deleted)"

func split(p string) (base string, deleted bool) {
	p, deleted = strings.CutSuffix(p, deletedMark)
	return path.Base(p), deleted
}

// Name is the file's name now, without its directory, and whether it was removed.
func (a *Attachment) Name() (base string, deleted bool) { return split(a.path) }

// FilePath is where the file is, as far as this process can see it.
func (a *Attachment) FilePath() string { return strings.TrimSuffix(a.path, deletedMark) }

// Keep makes sure that the device stays when its last opener closes it: a Detach that
// found it open may have asked for the contrary.
func (a *Attachment) Keep() error {
	if !a.lapsing {
		return nil
	}
	info, err := a.device.status()
	if err != nil {
		return fail(err)
	}
	info.Flags &^= unix.LO_FLAGS_AUTOCLEAR
	if err := a.device.setStatus(info); err != nil {
		return fail(err)
	}
	a.lapsing = false
	return nil
}

// Grow gives the device the size that its file has by now, while it is in use.
func (a *Attachment) Grow() error {
	if err := a.device.setCapacity(); err != nil {
		return fail(err)
	}
	return nil
}

// Bytes is the size of the device.
func (a *Attachment) Bytes() (int64, error) {
	bytes, err := a.device.size()
	return bytes, fail(err)
}

// Close releases the device, which keeps its file.
func (a *Attachment) Close() { _ = a.device.close() }

const (
	// detachWait is how long Detach waits for others to close the device, such as
	// udev, which looks at every device that changes.
	detachWait = 2 * time.Second
	detachLook = 20 * time.Millisecond
)

// Detach has the device give up its file, and closes it. InUse if others still have it
// open: it is freed when the last of them closes it, unless it is kept before.
func (a *Attachment) Detach(ctx context.Context) error {
	err := a.device.clear()
	closeErr := a.device.close()
	if errors.Is(err, unix.ENXIO) {
		return nil // somebody was faster
	}
	if err != nil {
		return fail(err)
	}
	if closeErr != nil {
		return closeErr
	}
	ctx, cancel := context.WithTimeout(ctx, detachWait)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, detachLook) {
		path, err := a.kernel.path(a.Number)
		if err != nil {
			return fail(err)
		}
		if path == "" || path != a.path {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return state.Errorf(state.InUse, "processes still have %s open, which is %s; it is freed when they close it", Path(a.Number), a.path)
		}
	}
}

// fail gives a failure of the kernel its Reason, if it has none.
func fail(err error) error {
	if known := (*state.Error)(nil); err == nil || errors.As(err, &known) {
		return err
	}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return state.Errorf(state.Unsupported, "%w: this needs the kernel's loop devices, and the node's /dev (a devtmpfs) "+
			"mounted at /dev of this process, so that new devices appear there", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return state.Errorf(state.Unsupported, "%w: this needs the capability CAP_SYS_ADMIN and access to block devices "+
			"(a privileged container has both)", err)
	case errors.Is(err, unix.EROFS):
		return state.Errorf(state.NotReady, "%w: the pool's filesystem is read-only (the kernel's log may tell why)", err)
	case errors.Is(err, unix.ENOTTY):
		return state.Errorf(state.Unsupported, "%w: this needs Linux 5.8 or newer", err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return state.Errorf(state.NotReady, "%w", err)
	}
	return err
}
