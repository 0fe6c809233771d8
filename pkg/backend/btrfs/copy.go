package btrfs

import (
	"context"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const iocSnapshotCreate = 0x50009417 // _IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)

// BuildFrom makes a subvolume that shares all with another: of one instant, and in the
// same time whatever its size. The limit is put on it afterwards, since it is no smaller
// than that of the source.
//
// Simple quotas count a block for the subvolume that wrote it. So with them the limit
// holds what is written to the copy; what it shares with its source comes on top.
func (b *Backend) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	if v.Spec.AccessType == state.BlockAccess {
		return b.Backend.BuildFrom(ctx, v, from, progress)
	}
	return b.Pool.Build(v, snapshotOf(ctx, from), func(d *os.File) error {
		if err := b.limit(d, v); err != nil {
			return err
		}
		return plain.SetCopiedOwner(d, v)
	})
}

// Snapshot makes a subvolume as BuildFrom does. It could be a read-only one, but such a
// one cannot be renamed into another directory; that nobody gets into snapshots/ (0700)
// does what is needed.
func (b *Backend) Snapshot(ctx context.Context, s state.Snapshot, from *os.File, progress func(state.Progress)) error {
	if s.Spec.AccessType == state.BlockAccess {
		return b.Backend.Snapshot(ctx, s, from, progress)
	}
	return b.BuildSnapshot(s, snapshotOf(ctx, from), func(*os.File) error {
		return nil
	})
}

// Footprint is what the qgroup counts. A volume that began as a copy may hold blocks that
// another's qgroup counts (see BuildFrom): for it the whole size is taken.
func (b *Backend) Footprint(ctx context.Context, v state.Volume) (int64, error) {
	if !b.qgroups.on || v.Spec.AccessType == state.BlockAccess { // an image is in no subvolume of its own
		return b.Backend.Footprint(ctx, v)
	}
	if v.Spec.Source != nil {
		return v.Status.CapacityBytes, nil
	}
	d, err := b.OpenDirectory(v)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	id, err := subvolumeID(d)
	if err != nil {
		return 0, fmt.Errorf("subvolume of volume %s: %w", v.ID, err)
	}
	return b.qgroups.used(id)
}

// snapshotOf returns a function that makes a snapshot of a subvolume. Subvolumes that a
// pod made in it are not in the snapshot: empty directories are in their places.
func snapshotOf(ctx context.Context, from *os.File) func(dirfd int, name string) error {
	return func(dirfd int, name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		fd, err := unix.Openat2(int(from.Fd()), ".", &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC})
		if err != nil {
			return fmt.Errorf("opening %s: %w", from.Name(), err)
		}
		defer unix.Close(fd)
		return createSnapshot(fd, dirfd, name)
	}
}

// createSnapshot makes a snapshot of the subvolume that fd is the root of.
func createSnapshot(fd, dirfd int, name string) error {
	// struct btrfs_ioctl_vol_args_v2
	var a struct {
		fd          int64
		transaction uint64
		flags       uint64
		_           [4]uint64
		name        [4040]byte
	}
	if len(name) > 255 {
		return fmt.Errorf("name of a subvolume: %w", unix.ENAMETOOLONG)
	}
	a.fd = int64(fd)
	copy(a.name[:], name)
	return ioctl(dirfd, iocSnapshotCreate, unsafe.Pointer(&a))
}
