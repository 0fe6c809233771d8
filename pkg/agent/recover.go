package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Found is one thing that Recover found in a pool.
type Found struct {
	Pool string
	// Path is relative to the pool.
	Path string
	// ID, and the rest, are what the record on it says.
	ID            string
	CapacityBytes int64
	Claim         *state.Claim
	// Outcome is what was done: Recorded, Known (it was in the store already) or
	// Orphan, with Why.
	Outcome Outcome
	Why     string

	node string
}

// Outcome is what became of something that Recover found.
type Outcome string

// The outcomes.
const (
	Recorded Outcome = "Recorded"
	Known    Outcome = "Known"
	Orphan   Outcome = "Orphan"
)

// RecoverOptions say what to recover into which store.
type RecoverOptions struct {
	Pools   []PoolOptions
	Volumes state.Owned[state.VolumeSpec, state.VolumeStatus]
	// Snapshots are those of snapshots.
	Snapshots state.Owned[state.SnapshotSpec, state.SnapshotStatus]
	Nodes     state.OwnedNodes
	// Store is the UUID of the store that keeps Volumes.
	Store string
	// NodeID replaces the node that the records name, if it is not "".
	NodeID string
	// Progress is called now and then, with how many entries of how many are done.
	Progress func(pool string, done, of int)
}

// recoverParallel is how many volumes share a commit while records are written.
const recoverParallel = 64

// Recover writes into a store the records that the volumes and snapshots on the disk carry, and
// makes the pools that store's. It removes nothing, and can be repeated.
//
// Durable steps: each record, as Ready; the record on the volume, with the UID of
// its new life; when a pool's volumes are all recorded, the pool in the records of the
// nodes that its volumes name, and then the pool's marker. A crash before that leaves a pool of another store, which no driver serves, and the next
// Recover goes on.
func Recover(ctx context.Context, o RecoverOptions) ([]Found, error) {
	var all []Found
	for _, po := range o.Pools {
		found, err := o.pool(ctx, po)
		all = append(all, found...)
		if err != nil {
			return all, fmt.Errorf("recovering pool %s at %s: %w", po.Name, po.Path, err)
		}
	}
	return all, nil
}

func (o *RecoverOptions) pool(ctx context.Context, po PoolOptions) (_ []Found, err error) {
	if err := MountDisk(ctx, po); err != nil {
		return nil, err
	}
	m, err := pool.ReadMarker(po.Path)
	if err != nil {
		return nil, err
	}
	b, err := openBackend(po)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	disk, err := b.Contents(ctx)
	if err != nil {
		return nil, err
	}
	var paths []string
	for name := range disk.Volumes {
		paths = append(paths, pool.VolumesDir+"/"+name)
	}
	for path := range disk.Claims {
		paths = append(paths, backend.ClaimPath(path))
	}
	for name := range disk.Images {
		paths = append(paths, pool.ImagesDir+"/"+name)
	}
	for name := range disk.Snapshots {
		paths = append(paths, pool.SnapshotsDir+"/"+name)
	}
	// A directory that is still in .tmp may have been answered for: its rename is
	// not synced. It is better to keep one too many than to lose one.
	for name := range disk.Building {
		paths = append(paths, pool.BuildDir+"/"+name)
	}
	found := make([]Found, len(paths))
	var g errgroup.Group
	g.SetLimit(recoverParallel)
	for i, path := range paths {
		if o.Progress != nil && i%1000 == 0 {
			o.Progress(po.Name, i, len(paths))
		}
		g.Go(func() error {
			var err error
			record := o.entry
			switch dir := filepath.Dir(path); {
			case dir == pool.SnapshotsDir, dir == pool.BuildDir && isSnapshot(b, path):
				record = o.snapshot
			}
			found[i], err = record(ctx, b, po.Name, path)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := o.rememberPool(ctx, po.Name, m.UUID, found); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Found) int { return cmp.Compare(a.Path, b.Path) })
	if m.Store == o.Store {
		return found, nil
	}
	return found, pool.Rebind(po.Path, o.Store)
}

// rememberPool writes the pool into the records of its nodes, so that it is missed
// should its disk not be mounted at the next start.
func (o *RecoverOptions) rememberPool(ctx context.Context, name, uuid string, found []Found) error {
	nodes := map[string]bool{}
	if o.NodeID != "" {
		nodes[o.NodeID] = true
	}
	for _, f := range found {
		if f.node != "" {
			nodes[f.node] = true
		}
	}
	for id := range nodes {
		if err := ensureNode(ctx, o.Nodes, id); err != nil {
			return err
		}
		if err := rememberPool(ctx, o.Nodes, id, name, uuid); err != nil {
			return err
		}
	}
	return nil
}

// entry records one directory. An error ends the recovery; what is merely wrong
// with the entry is told in what was found.
func (o *RecoverOptions) entry(ctx context.Context, b backend.Backend, poolName, path string) (Found, error) {
	f := Found{Pool: poolName, Path: path, Outcome: Orphan}
	old, err := b.ReadRecord(path)
	switch {
	case err != nil:
		f.Why = err.Error()
		return f, nil
	case path != backend.PathOf(old) && path != pool.BuildDir+"/"+backend.PassingName(old):
		f.Why = fmt.Sprintf("its record is of volume %s", old.ID)
		return f, nil
	}
	f.ID, f.CapacityBytes, f.Claim = old.ID, old.Spec.CapacityBytes, old.Spec.Claim
	spec := old.Spec
	spec.Pool, spec.Node = poolName, cmp.Or(o.NodeID, spec.Node)
	spec.Adopt = ""    // what it was made of is itself
	spec.EmptyFor = "" // whose claim it was then; what is in it now may be another's
	f.node = spec.Node
	v, err := o.Volumes.Create(ctx, old.ID, spec)
	if state.ReasonOf(err) == state.AlreadyExists {
		if v, err = o.Volumes.Get(ctx, old.ID); err != nil {
			return f, err
		}
		switch {
		case v.UID == old.UID:
			f.Outcome = Known
			return f, nil
		case v.Status.Phase == state.Deleting:
			// An earlier life, whose end was answered.
			if err := o.Volumes.Finalize(ctx, v.ID, v.UID); err != nil {
				return f, err
			}
			return o.entry(ctx, b, poolName, path)
		case v.Spec.Pool != poolName || v.Spec.Name != old.Spec.Name || v.Status.Phase != state.Ready && v.Status.Phase != "":
			f.Why = fmt.Sprintf("another volume %s is recorded, in pool %s", v.ID, v.Spec.Pool)
			return f, nil
		} // else an earlier Recover ended before it had written the new UID on the volume
	} else if err != nil {
		return f, err
	}
	if path != backend.PathOf(old) {
		if _, err := b.Place(ctx, old); err != nil {
			f.Why = err.Error()
			return f, nil
		}
		f.Path = backend.PathOf(old)
	}
	v, err = o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		*st = state.VolumeStatus{Phase: state.Ready, Path: backend.PathOf(v), CapacityBytes: spec.CapacityBytes,
			Enforced: enforced(b, v), QuotaID: old.Status.QuotaID, ObservedGeneration: v.Generation}
		return nil
	})
	if err == nil {
		err = b.Resize(ctx, v)
	}
	if err != nil {
		return f, err
	}
	f.Outcome = Recorded
	return f, nil
}
