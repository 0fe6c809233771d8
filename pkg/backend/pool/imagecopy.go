package pool

import (
	"context"
	"fmt"
	"os"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// BuildImageFrom is BuildImage for a volume whose first contents are those of the image
// from. What it shares with that is not set aside for it, even if it is a thick one.
func (p *Pool) BuildImageFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	return p.buildImage(v, func(f *os.File) error {
		if err := copyImage(ctx, from, f, progress); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if st.Size() > v.Spec.CapacityBytes { // the source grew after it was looked at
			return state.Errorf(state.OutOfRange, "volume %s is to have %d bytes, and its source has %d", v.ID, v.Spec.CapacityBytes, st.Size())
		}
		return nil
	})
}

// SnapshotImage makes a snapshot of a block volume's image.
func (p *Pool) SnapshotImage(ctx context.Context, s state.Snapshot, from *os.File, progress func(state.Progress)) error {
	return p.BuildSnapshot(s, makeImage, func(f *os.File) error {
		// As the image was made: blocks are shared only between files of one kind.
		if err := OverwriteInPlace(f); err != nil {
			return fmt.Errorf("image of snapshot %s: %w", s.ID, err)
		}
		if err := copyImage(ctx, from, f, progress); err != nil {
			return fmt.Errorf("snapshot %s: %w", s.ID, err)
		}
		return nil
	})
}

// copyImage shares all blocks of an image at one instant where the filesystem can, and
// otherwise copies those that it has.
func copyImage(ctx context.Context, from, to *os.File, progress func(state.Progress)) error {
	var o tree.Options
	if progress != nil {
		o.Progress = func(s tree.Stats) { progress(state.Progress{Bytes: s.Bytes, Inodes: s.Inodes}) }
	}
	_, err := tree.CopyFile(ctx, from, to, o)
	return err
}
