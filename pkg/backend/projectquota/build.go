package projectquota

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Build makes an empty directory with the limit, owner and mode that v asks for. Where
// an earlier attempt left files of the same project, these count until they are purged.
func (b *Backend) Build(ctx context.Context, v state.Volume) error {
	if v.Status.QuotaID == 0 || v.Spec.AccessType == state.BlockAccess { // an image's size is its limit
		return b.Backend.Build(ctx, v)
	}
	if err := plain.StartsEmpty(v); err != nil {
		return err
	}
	if err := b.checkEnforced(v); err != nil {
		return err
	}
	return b.Pool.Build(v, plain.Mkdir, func(d *os.File) error {
		if err := b.hold(d, v); err != nil {
			return err
		}
		return plain.SetOwner(d, v)
	})
}

// Adopt makes all files of the directory at v.Spec.Adopt those of the volume's project, and
// limits that.
func (b *Backend) Adopt(ctx context.Context, v state.Volume, own func(there *state.Meta) error) error {
	if v.Status.QuotaID == 0 {
		return b.Backend.Adopt(ctx, v, own)
	}
	return b.Pool.Adopt(ctx, v, own, func(*os.File) error { return b.checkEnforced(v) }, func(d *os.File) error {
		if _, err := quota.SetTreeProject(ctx, d, v.Status.QuotaID); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		return b.limit(v)
	})
}

// Discard moves the volume to the trash. A directory that was to become one, and did not,
// is left without a project. The limit goes when the ID is given out again, or at the
// next start.
func (b *Backend) Discard(ctx context.Context, v state.Volume) error {
	if !pool.IsUnanswered(v) {
		return b.Backend.Discard(ctx, v)
	}
	return b.Disown(v, func(d *os.File) error {
		if v.Status.QuotaID == 0 {
			return nil
		}
		return b.disownTree(ctx, d, v)
	})
}

// disownTree takes all files out of the volume's project.
func (b *Backend) disownTree(ctx context.Context, d *os.File, v state.Volume) error {
	if _, err := quota.SetTreeProject(ctx, d, 0); err != nil {
		return fmt.Errorf("volume %s: %w", v.ID, err)
	}
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("volume %s: %w", v.ID, err)
	}
	if b.ids == nil {
		return nil
	}
	return b.ids.Retire(v.Status.QuotaID)
}

// hold makes an empty directory one of the volume's project, and limits that.
func (b *Backend) hold(d *os.File, v state.Volume) error {
	if err := quota.SetProject(d, v.Status.QuotaID); err != nil {
		return fmt.Errorf("volume %s: %w", v.ID, err)
	}
	return b.limit(v)
}

// BuildFrom makes the directory one of the volume's project before anything is copied
// into it: what is made in it inherits the project, and the copy itself is limited.
func (b *Backend) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	if v.Status.QuotaID == 0 || v.Spec.AccessType == state.BlockAccess {
		return b.Backend.BuildFrom(ctx, v, from, progress)
	}
	if err := b.checkEnforced(v); err != nil {
		return err
	}
	return b.Pool.Build(v, plain.Mkdir, func(d *os.File) error {
		if err := b.hold(d, v); err != nil {
			return err
		}
		if err := plain.CopyTree(ctx, from, d, progress); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		return plain.SetCopiedOwner(d, v)
	})
}

// Footprint is what the filesystem has counted for the volume's project.
func (b *Backend) Footprint(ctx context.Context, v state.Volume) (int64, error) {
	if v.Status.QuotaID == 0 || b.why != nil {
		return b.Backend.Footprint(ctx, v)
	}
	q, err := b.fs.Usage(v.Status.QuotaID)
	return q.Bytes, err
}
