package plain

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// CopyTree fills an empty directory with all that is in another, exactly and durably.
// The record of what is copied stays where it is.
func CopyTree(ctx context.Context, from, to *os.File, progress func(state.Progress)) error {
	o := tree.Options{Sync: true, SkipXattrs: []string{backend.RecordXattr}}
	if progress != nil {
		o.Progress = func(s tree.Stats) { progress(state.Progress{Bytes: s.Bytes, Inodes: s.Inodes}) }
	}
	_, err := tree.Copy(ctx, from, to, o)
	return err
}

// SetCopiedOwner gives a volume that began as a copy the owner and the mode of v.Spec
// where its source is not to be followed.
func SetCopiedOwner(d *os.File, v state.Volume) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return fmt.Errorf("volume %s: %w", v.ID, err)
	}
	source := v.Spec.Source
	mode := st.Mode & 0o7777
	if source != nil && source.SetMode {
		mode = v.Spec.Mode
	}
	if source != nil && source.SetOwner {
		// The owner first: chown clears set-ID bits.
		if err := unix.Fchown(int(d.Fd()), v.Spec.UserID, v.Spec.GroupID); err != nil {
			return fmt.Errorf("setting the owner of volume %s: %w", v.ID, err)
		}
	}
	if err := unix.Fchmod(int(d.Fd()), mode); err != nil {
		return fmt.Errorf("setting the mode of volume %s: %w", v.ID, err)
	}
	return nil
}

// BuildFrom makes a directory, or an image, with the contents of another.
func (b *Backend) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	if v.Spec.AccessType == state.BlockAccess {
		return b.BuildImageFrom(ctx, v, from, progress)
	}
	return b.Pool.Build(v, Mkdir, func(d *os.File) error {
		if err := CopyTree(ctx, from, d, progress); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		return SetCopiedOwner(d, v)
	})
}

// Snapshot copies the volume's directory or image.
func (b *Backend) Snapshot(ctx context.Context, s state.Snapshot, from *os.File, progress func(state.Progress)) error {
	if s.Spec.AccessType == state.BlockAccess {
		return b.SnapshotImage(ctx, s, from, progress)
	}
	return b.BuildSnapshot(s, Mkdir, func(d *os.File) error {
		if err := CopyTree(ctx, from, d, progress); err != nil {
			return fmt.Errorf("snapshot %s: %w", s.ID, err)
		}
		return nil
	})
}

// PlaceSnapshot moves the snapshot to its place.
func (b *Backend) PlaceSnapshot(_ context.Context, s state.Snapshot) (string, error) {
	return b.Pool.PlaceSnapshot(s)
}

// DiscardSnapshot moves the snapshot to the trash.
func (b *Backend) DiscardSnapshot(_ context.Context, s state.Snapshot) error {
	return b.Pool.DiscardSnapshot(s)
}

// Footprint counts the whole volume, however large it is.
func (b *Backend) Footprint(ctx context.Context, v state.Volume) (int64, error) {
	c, err := b.Count(ctx, v, 0)
	return c.Bytes, err
}
