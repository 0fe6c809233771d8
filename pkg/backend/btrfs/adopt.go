package btrfs

import (
	"context"
	"os"
	"path/filepath"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Adopt makes the subvolume at v.Spec.Adopt the volume's, and limits it. Anything but a
// subvolume is refused: btrfs can limit, and snapshot, nothing else, and makes none of a directory
// that is there.
func (b *Backend) Adopt(ctx context.Context, v state.Volume, own func(there *state.Meta) error) error {
	if v.Spec.AccessType == state.BlockAccess {
		return b.Backend.Adopt(ctx, v, own)
	}
	return b.Pool.Adopt(ctx, v, own, func(d *os.File) error {
		if _, err := subvolumeID(d); err != nil {
			at := filepath.Join(b.Path(), v.Spec.Adopt)
			return state.Errorf(state.Unsupported, "%s is no subvolume of btrfs, which can limit and snapshot nothing else; make it one, which copies no data: "+
				"btrfs subvolume create %[1]s.new && cp -a --reflink=always %[1]s/. %[1]s.new/, and adopt that", state.Quote(at))
		}
		return nil
	}, func(d *os.File) error { return b.limit(d, v) })
}

// Discard moves the volume to the trash. A subvolume that was to become one, and did not, is left
// without a limit.
func (b *Backend) Discard(ctx context.Context, v state.Volume) error {
	if !pool.IsUnanswered(v) || v.Spec.AccessType == state.BlockAccess {
		return b.Backend.Discard(ctx, v)
	}
	return b.Disown(v, func(d *os.File) error {
		id, err := subvolumeID(d)
		if err != nil || !b.qgroups.on || b.o.Unlimited {
			return err
		}
		return b.qgroups.limit(id, noLimit)
	})
}

// noLimit clears a limit (BTRFS_QGROUP_CLEAR_VALUE).
const noLimit = -1
