// Package btrfs is the backend for pools on btrfs. A volume is a subvolume; where
// quotas are on, a qgroup holds it to its size. A deleted volume of any size is gone
// in one call.
//
// Quotas are the administrator's to switch on, since they cost every writer of the
// filesystem something: btrfs quota enable --simple POOL (Linux 6.7 or newer; its
// accounting is by far cheaper than that of the classic ones). Without them a volume
// is a subvolume all the same, and Features say that no size is enforced.
package btrfs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Backend is a pool of subvolumes. What it does not do otherwise is as with plain
// directories.
type Backend struct {
	*plain.Backend
	o       Options
	qgroups qgroups
}

// Options say how volumes are limited.
type Options struct {
	// Unlimited gives new volumes no limit, though quotas be on. Those that have one keep
	// it.
	Unlimited bool
}

var _ backend.Backend = (*Backend)(nil)

// New makes a Backend of an open pool on btrfs, which it then owns.
func New(p *pool.Pool, o Options) (*Backend, error) {
	directories, err := plain.New(p)
	if err != nil {
		return nil, err
	}
	b := &Backend{Backend: directories, o: o}
	if b.qgroups, err = openQgroups(p.Path()); err != nil {
		return nil, errors.Join(err, directories.Close())
	}
	return b, nil
}

// Features tells that blocks are shared, and whether sizes are enforced.
func (b *Backend) Features() backend.Features {
	return backend.Features{Filesystem: "btrfs", EnforcesLimits: b.qgroups.on && !b.o.Unlimited, SharesBlocks: true, AtomicSnapshots: true, RemovesAtOnce: true}
}

// Unenforced tells why limits are not enforced, and what to do about it; nil: they are.
func (b *Backend) Unenforced() error {
	if b.qgroups.on {
		return nil
	}
	return state.Errorf(state.Unsupported, "quotas of this btrfs are off, or are being counted: run `btrfs quota enable --simple %s` "+
		"(Linux 6.7 and btrfs-progs 6.7 or newer; without --simple otherwise), and restart the driver when that is done", b.Path())
}

// Build makes an empty subvolume with the limit, mode and owner of v.Spec.
func (b *Backend) Build(ctx context.Context, v state.Volume) error {
	if v.Spec.AccessType == state.BlockAccess {
		return b.Backend.Build(ctx, v)
	}
	if err := plain.StartsEmpty(v); err != nil {
		return err
	}
	return b.Pool.Build(v, createSubvolume, func(d *os.File) error {
		if err := b.limit(d, v); err != nil {
			return err
		}
		return plain.SetOwner(d, v)
	})
}

// Resize moves the volume's limit, and then writes the new size into its record.
func (b *Backend) Resize(ctx context.Context, v state.Volume) error {
	if v.Spec.AccessType == state.BlockAccess {
		return b.Backend.Resize(ctx, v)
	}
	d, err := b.OpenDirectory(v)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := b.limit(d, v); err != nil {
		return err
	}
	return b.Backend.Resize(ctx, v)
}

// limit sets the qgroup's limit to the volume's capacity.
func (b *Backend) limit(d *os.File, v state.Volume) error {
	if !b.qgroups.on {
		return nil
	}
	id, err := subvolumeID(d)
	if err != nil {
		return fmt.Errorf("subvolume of volume %s: %w", v.ID, err)
	}
	if b.o.Unlimited {
		if limited, err := b.qgroups.limited(id); err != nil || !limited {
			return err
		}
	}
	if err := b.qgroups.limit(id, v.Spec.CapacityBytes+allowance(v.Spec.CapacityBytes)); err != nil {
		return fmt.Errorf("limiting volume %s: %w", v.ID, err)
	}
	return nil
}

// allowance is what the filesystem itself takes of a limit, which shall not be the
// user's loss: the trees' nodes, and what a write reserves of them while it is under
// way. Extents are described in 53-byte items and checksums of 4 bytes per block of
// 4 KiB, both in nodes that may be half empty: below one part in 128. What a write
// reserves is some hundred KiB, whatever the size.
func allowance(capacity int64) int64 { return 2<<20 + capacity/128 }

// Usage tells the bytes that the qgroup counts; inodes are counted as for plain
// directories. Without quotas bytes are, too.
func (b *Backend) Usage(ctx context.Context, v state.Volume) (state.Usage, error) {
	u, err := b.Backend.Usage(ctx, v)
	if err != nil || !b.qgroups.on || v.Spec.AccessType == state.BlockAccess {
		return u, err
	}
	d, err := b.OpenDirectory(v)
	if err != nil {
		return u, err
	}
	defer d.Close()
	id, err := subvolumeID(d)
	if err != nil {
		return u, fmt.Errorf("subvolume of volume %s: %w", v.ID, err)
	}
	used, err := b.qgroups.used(id)
	if err != nil {
		return u, fmt.Errorf("usage of volume %s: %w", v.ID, err)
	}
	fs, err := b.Statfs()
	if err != nil {
		return u, err
	}
	u.UsedBytes = min(used, u.TotalBytes)
	u.AvailableBytes = max(0, min(u.TotalBytes-u.UsedBytes, fs.AvailableBytes))
	return u, nil
}

// Purge removes an entry of the trash with one call, whatever is in it. One that has
// subvolumes of a pod's own in it is removed file by file.
func (b *Backend) Purge(ctx context.Context, name string, progress func(inodes int)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := b.InTrash(func(trash int) error { return destroySubvolume(trash, name) })
	switch {
	case err == nil:
		progress(1)
		return nil
	case errors.Is(err, unix.ENOENT):
		return nil
	}
	return b.Backend.Purge(ctx, name, progress)
}

// Close releases what the backend holds open.
func (b *Backend) Close() error {
	return errors.Join(b.qgroups.close(), b.Backend.Close())
}
