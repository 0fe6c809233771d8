// Package disk gives a pool a filesystem of its own: in one image file, or on a block
// device. It is formatted once, mounted at the pool's path whenever it is not, and
// grown, while it is used, when there is more room for it than it has.
//
// The only programs that are run are mkfs.xfs and mkfs.btrfs.
//
// # An image file, and the order of its durable steps
//
//	.NAME.new      is made, given its size, and formatted; then it is fsynced. A crash
//	               before: a leaving of that name, which the next attempt removes
//	NAME           it is renamed, unless there is something of that name; the directory
//	               is fsynced. From here on the image exists, and is never formatted again
//	/dev/loopN     it is attached, as a device that is freed at its last close: what was
//	               killed before the mount leaves none
//	mounted        the mount keeps the device. It outlives this process, for pods use it
//
// Growing goes by the same way, once it is mounted: the file, its device, its filesystem,
// each up to the size of the one before. A crash between is finished by the next attempt.
//
// # A block device
//
// One that is all zeros where anything keeps its signature is blank, and may be
// formatted. While that is done a claim lies on it, in a place that mkfs does not write
// to: so the next attempt tells what a crash left half formatted from somebody's data.
//
//	claim     is written and fsynced. A crash before: the device is blank
//	mkfs      a crash meanwhile: the claim is there, and it is formatted anew
//	no claim  it is overwritten and fsynced. A crash before: the same, of a filesystem
//	          that nobody has mounted yet
//	mounted
//
// # What is not done
//
// Nothing is made where a pool is known to have been: see Mount. Nothing is ever made
// smaller, and nothing unmounted.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Disk says what a pool's filesystem lies on: Image or Device, one of them.
type Disk struct {
	// Image is the path of a file, absolute; SizeBytes is how large that is to be.
	Image     string
	SizeBytes int64
	// Provisioning tells when the image takes its room.
	Provisioning state.Provisioning
	// Device is the path of a block device.
	Device string
	// Filesystem is "xfs" or "btrfs".
	Filesystem string
	// Unlimited leaves out what limits need: quota is not switched on.
	Unlimited bool
}

// ErrNothing means that there is no image, or no filesystem on the device, so far.
var ErrNothing = errors.New("there is nothing so far")

// unit divides the size of every image, in bytes.
const unit = 1 << 20

// MinBytes is the least size of a disk: mkfs.xfs takes 300 MiB.
const MinBytes = 320 << 20

// bytes is the declared size, in whole units.
func (d Disk) bytes() int64 { return (d.SizeBytes + unit - 1) / unit * unit }

// String names what the filesystem lies on.
func (d Disk) String() string {
	if d.Image != "" {
		return "image " + d.Image
	}
	return "device " + d.Device
}

// Mount makes sure that the disk is mounted at a directory, absolute, and as large as it
// can be. What is mounted there already is taken as it is. Only with first, which says
// that there never was a pool, is an image made or a device formatted.
//
// Errors carry a state.Reason: NotReady if somebody can mend it, NoSpace, Invalid or
// Unsupported otherwise.
func (d Disk) Mount(ctx context.Context, at string, first bool) (err error) {
	fs, ok := kinds[d.Filesystem]
	if !ok {
		return state.Errorf(state.Invalid, "%s is to have the filesystem %s; it takes btrfs or xfs", d, state.Quote(d.Filesystem))
	}
	point, err := openPoint(at)
	if err != nil {
		return err
	}
	defer func() { point.Close() }()
	was, err := mountedAt(point, at)
	if err != nil {
		return err
	}
	first = first && was == nil
	if first {
		if err := d.mustHideNothing(point, at); err != nil {
			return err
		}
	}
	s, err := d.open(ctx, fs, first)
	if err != nil {
		return err
	}
	defer s.close()
	if was == nil {
		if err := d.mount(point, at, fs, s); err != nil {
			return err
		}
		crash.Step(crash.DiskMounted)
		// point is of the directory beneath.
		again, err := openPoint(at)
		if err != nil {
			return err
		}
		point.Close()
		point = again
		klog.InfoS("Mounted a pool's disk", "path", at, "disk", d.String(), "device", s.device(), "filesystem", d.Filesystem)
	} else if err := was.mustBe(d, s); err != nil {
		return err
	}
	if !d.Unlimited {
		if err := fs.limit(at); err != nil {
			klog.ErrorS(err, "Limits cannot be switched on for a pool's disk", "path", at, "disk", d.String())
		}
	}
	if err := s.extend(d); err != nil {
		return err
	}
	return d.grow(point, fs, s)
}

// mustHideNothing returns an error unless the mount point is empty.
func (d Disk) mustHideNothing(point *os.File, at string) error {
	name, err := anyName(point)
	if err != nil {
		return notReady("looking into %s: %w", at, err)
	}
	if name != "" {
		return notReady("%s is to be mounted at %s, but there is something in that directory already (%s), which would be hidden: "+
			"move it away, or give the pool another path", d, at, state.Quote(name))
	}
	return nil
}

// mount mounts what s is open on.
func (d Disk) mount(point *os.File, at string, fs kind, s source) error {
	if err := mountOnto(point, d.Filesystem, s.device(), fs.options(d)); err != nil {
		if has, berr := s.bytes(); berr == nil && d.Image != "" && has < d.bytes() {
			err = fmt.Errorf("%w; the image has %d bytes and is declared with %d: if it was cut short, bring back a whole one", err, has, d.SizeBytes)
		}
		return notReady("mounting %s (%s) as %s at %s: %w", d, s.device(), d.Filesystem, at, err)
	}
	return nil
}

// grow makes the filesystem as large as what it lies on.
func (d Disk) grow(point *os.File, fs kind, s source) error {
	room, err := s.bytes()
	if err != nil {
		return fmt.Errorf("size of %s: %w", d, err)
	}
	has, err := fs.bytes(point)
	if err != nil {
		return fmt.Errorf("size of the filesystem on %s: %w", d, err)
	}
	if room-has < unit {
		return nil
	}
	if err := fs.grow(point, room); err != nil {
		return notReady("growing the %s on %s from %d bytes to %d: %w", d.Filesystem, d, has, room, err)
	}
	crash.Step(crash.DiskGrown)
	klog.InfoS("Grew a pool's disk", "disk", d.String(), "bytes", room, "were", has)
	return nil
}

// source is what a filesystem lies on, held open.
type source interface {
	// device is the path of the block device.
	device() string
	// is tells whether a block device is this one.
	is(major, minor uint32) (bool, error)
	// bytes is what a filesystem may have of it.
	bytes() (int64, error)
	// extend gives it the declared size, if it is to have one.
	extend(d Disk) error
	close()
}

// open returns what the filesystem lies on, which it makes and formats if it may.
func (d Disk) open(ctx context.Context, fs kind, mayMake bool) (source, error) {
	switch {
	case d.Image != "" && d.Device != "":
		return nil, state.Errorf(state.Invalid, "%s and device %s are both declared; it takes one of them", d, d.Device)
	case d.Image != "":
		return d.openImage(ctx, fs, mayMake)
	case d.Device != "":
		return d.openDevice(ctx, fs, mayMake)
	}
	return nil, state.Errorf(state.Invalid, "neither image nor device is declared")
}
