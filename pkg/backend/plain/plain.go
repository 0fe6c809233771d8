// Package plain is the backend for any filesystem: a volume is a directory. It does
// not hold volumes to their size; that they share the filesystem's free space is
// said in their records (Status.Enforced) and in the documentation.
package plain

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Backend is a pool of plain directories.
type Backend struct {
	*pool.Pool
	filesystem string
	counts     counts
}

var _ backend.Backend = (*Backend)(nil)

// New makes a Backend of an open pool, which it then owns.
func New(p *pool.Pool) (*Backend, error) {
	magic, err := p.FilesystemType()
	if err != nil {
		return nil, err
	}
	b := &Backend{Pool: p, filesystem: filesystemName(magic)}
	b.counts.init()
	return b, nil
}

// Features tells that nothing is enforced and nothing shared.
func (b *Backend) Features() backend.Features { return backend.Features{Filesystem: b.filesystem} }

// StartsEmpty returns nil if Build may make the volume, which makes empty ones only.
func StartsEmpty(v state.Volume) error {
	if v.Spec.Source != nil {
		return state.Errorf(state.Unsupported, "volume %s is to be made from a %s, and not empty", v.ID, v.Spec.Source.Kind)
	}
	return nil
}

// Build makes an empty directory with the mode and owner of v.Spec, or the image of a
// block volume.
func (b *Backend) Build(_ context.Context, v state.Volume) error {
	if err := StartsEmpty(v); err != nil {
		return err
	}
	if v.Spec.AccessType == state.BlockAccess {
		return b.BuildImage(v)
	}
	return b.Pool.Build(v, Mkdir, func(d *os.File) error { return SetOwner(d, v) })
}

// Mkdir makes a directory that nobody gets into before it is given its owner and mode.
func Mkdir(dirfd int, name string) error { return unix.Mkdirat(dirfd, name, 0o700) }

// SetOwner gives the volume's directory the owner and the mode of v.Spec.
func SetOwner(d *os.File, v state.Volume) error {
	// The owner first: chown clears set-ID bits, which Mode may ask for.
	if v.Spec.UserID != 0 || v.Spec.GroupID != 0 {
		if err := unix.Fchown(int(d.Fd()), v.Spec.UserID, v.Spec.GroupID); err != nil {
			return fmt.Errorf("setting the owner of volume %s: %w", v.ID, err)
		}
	}
	if err := unix.Fchmod(int(d.Fd()), v.Spec.Mode); err != nil {
		return fmt.Errorf("setting the mode of volume %s: %w", v.ID, err)
	}
	return nil
}

// Adopt makes what is at v.Spec.Adopt the volume's.
func (b *Backend) Adopt(ctx context.Context, v state.Volume, own func(there *state.Meta) error) error {
	return b.Pool.Adopt(ctx, v, own, nothing, nothing)
}

func nothing(*os.File) error { return nil }

// Place moves the volume to its place.
func (b *Backend) Place(_ context.Context, v state.Volume) (string, error) { return b.Pool.Place(v) }

// Resize writes the new size into the volume's record; there is no limit to move. The
// image of a block volume grows.
func (b *Backend) Resize(_ context.Context, v state.Volume) error {
	if v.Spec.AccessType == state.BlockAccess {
		return b.GrowImage(v)
	}
	return b.Relabel(v)
}

// Empty removes what is in the volume's directory or image.
func (b *Backend) Empty(ctx context.Context, v state.Volume) error {
	defer b.counts.forget(v.ID)
	if v.Spec.AccessType == state.BlockAccess {
		return b.EmptyImage(ctx, v)
	}
	return b.EmptyDirectory(ctx, v, func(d *os.File) error {
		// SetOwner takes it that the directory is root's so far.
		if err := unix.Fchown(int(d.Fd()), 0, 0); err != nil {
			return fmt.Errorf("setting the owner of volume %s: %w", v.ID, err)
		}
		return SetOwner(d, v)
	})
}

// Discard moves the volume to the trash.
func (b *Backend) Discard(_ context.Context, v state.Volume) error {
	b.counts.forget(v.ID)
	return b.Pool.Discard(v)
}

// Capacity counts the pool's filesystem.
func (b *Backend) Capacity(context.Context) (state.Usage, error) { return b.Statfs() }

// Close ends background counts and releases the pool.
func (b *Backend) Close() error {
	b.counts.close()
	return b.Pool.Close()
}

// filesystemName returns the kernel's name for a statfs f_type (linux/magic.h).
func filesystemName(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case 0x2fc12fc1:
		return "zfs"
	}
	return fmt.Sprintf("%#x", uint32(magic))
}
