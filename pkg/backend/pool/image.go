package pool

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// BuildImage is Build for a block volume: a file of exactly its size, all zeros. A thick
// one has its blocks from the beginning; a discard of its user gives them back.
func (p *Pool) BuildImage(v state.Volume) error {
	return p.buildImage(v, func(*os.File) error { return nil })
}

// buildImage makes an image, has fill write what it begins with, and gives it its size.
func (p *Pool) buildImage(v state.Volume, fill func(f *os.File) error) error {
	if v.Spec.CapacityBytes <= 0 || v.Spec.CapacityBytes%backend.ImageUnit != 0 {
		return state.Errorf(state.Invalid, "volume %s is to have %d bytes; a block volume takes a multiple of %d", v.ID, v.Spec.CapacityBytes, backend.ImageUnit)
	}
	return p.Build(v, makeImage, func(f *os.File) error {
		if err := OverwriteInPlace(f); err != nil {
			return fmt.Errorf("image of volume %s: %w", v.ID, err)
		}
		if err := fill(f); err != nil {
			return err
		}
		return extend(f, 0, v)
	})
}

func makeImage(dirfd int, name string) error {
	fd, err := unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// OverwriteInPlace has btrfs write a file's blocks where they are, which an image wants:
// its own filesystem writes the same blocks over and over. It must be empty so far.
func OverwriteInPlace(f *os.File) error {
	const noCOW = 0x00800000 // FS_NOCOW_FL, linux/fs.h
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type != unix.BTRFS_SUPER_MAGIC {
		return err
	}
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fmt.Errorf("FS_IOC_GETFLAGS: %w", err)
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags|noCOW); err != nil {
		return fmt.Errorf("FS_IOC_SETFLAGS: %w", err)
	}
	return nil
}

// extend gives an image that has so many bytes the size of v.Spec.
func extend(f *os.File, from int64, v state.Volume) error {
	to := v.Spec.CapacityBytes
	if v.Spec.Provisioning != state.Thin {
		// The size changes once the blocks are there: it may be asked for meanwhile.
		err := unix.EINTR
		for err == unix.EINTR {
			err, _ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, to-from).(unix.Errno)
		}
		switch err {
		case 0:
		case unix.EOPNOTSUPP, unix.ENOSYS:
			return state.Errorf(state.Unsupported, "the pool's filesystem cannot set room aside for a file: give block volumes the parameter provisioning: thin")
		default:
			// What a filesystem that is full has given, it gets back at once.
			return full(errors.Join(fmt.Errorf("room for the image of volume %s: %w", v.ID, err), f.Truncate(from)))
		}
	}
	if err := f.Truncate(to); err != nil {
		return fmt.Errorf("image of volume %s: %w", v.ID, err)
	}
	return nil
}

// GrowImage makes the image of a block volume as large as v.Spec says, and writes the
// record; both are durable when it returns. An image is never made smaller: what lies
// beyond the end would be lost.
func (p *Pool) GrowImage(v state.Volume) error {
	f, err := p.open(p.volume(v), unix.O_RDWR|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if v.Spec.CapacityBytes%backend.ImageUnit != 0 {
		return state.Errorf(state.Invalid, "volume %s is to have %d bytes; a block volume takes a multiple of %d", v.ID, v.Spec.CapacityBytes, backend.ImageUnit)
	}
	if v.Spec.CapacityBytes > st.Size() {
		if err := extend(f, st.Size(), v); err != nil {
			return full(err)
		}
	}
	if err := writeRecord(f, p.volume(v)); err != nil {
		return full(err)
	}
	if err := f.Sync(); err != nil {
		return full(fmt.Errorf("syncing volume %s: %w", v.ID, err))
	}
	return nil
}

// ImageUsage tells what a block volume takes of the filesystem fs: its total is the size
// of its device.
func (p *Pool) ImageUsage(v state.Volume, fs state.Usage) (state.Usage, error) {
	f, err := p.Open(v)
	if err != nil {
		return state.Usage{}, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return state.Usage{}, fmt.Errorf("image of volume %s: %w", v.ID, err)
	}
	used := min(st.Blocks*512, v.Status.CapacityBytes)
	return state.Usage{TotalBytes: v.Status.CapacityBytes, UsedBytes: used,
		AvailableBytes: max(0, min(v.Status.CapacityBytes-used, fs.AvailableBytes))}, nil
}
