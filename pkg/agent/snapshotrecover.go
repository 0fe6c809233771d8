package agent

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// isSnapshot tells whether what lies at a path of .tmp was to be a snapshot: its record
// names a volume.
func isSnapshot(b backend.Backend, path string) bool {
	s, err := b.ReadSnapshotRecord(path)
	return err == nil && s.Spec.Volume != ""
}

// snapshot records one snapshot, as entry does a volume. The record that lies on it was
// written when the copy was whole.
func (o *RecoverOptions) snapshot(ctx context.Context, b backend.Backend, poolName, path string) (Found, error) {
	f := Found{Pool: poolName, Path: path, Outcome: Orphan}
	old, err := b.ReadSnapshotRecord(path)
	home := backend.SnapshotPath(old.ID)
	switch {
	case err != nil:
		f.Why = err.Error()
		return f, nil
	case old.Spec.Volume == "" || path != home && path != pool.BuildDir+"/"+backend.PassingName(old):
		f.Why = fmt.Sprintf("its record is of %s", old.ID)
		return f, nil
	}
	f.ID, f.CapacityBytes = old.ID, old.Status.SizeBytes
	spec := old.Spec
	spec.Pool, spec.Node = poolName, cmp.Or(o.NodeID, spec.Node)
	f.node = spec.Node
	s, err := o.Snapshots.Create(ctx, old.ID, spec)
	if state.ReasonOf(err) == state.AlreadyExists {
		if s, err = o.Snapshots.Get(ctx, old.ID); err != nil {
			return f, err
		}
		switch {
		case s.UID == old.UID:
			f.Outcome = Known
			return f, nil
		case s.Spec.Pool != poolName || s.Spec.Name != old.Spec.Name || s.Status.Phase != state.Ready && s.Status.Phase != "":
			f.Why = fmt.Sprintf("another snapshot %s is recorded, in pool %s", s.ID, s.Spec.Pool)
			return f, nil
		} // else an earlier Recover ended before it had written the new UID on the snapshot
	} else if err != nil {
		return f, err
	}
	if path != home {
		if _, err := b.PlaceSnapshot(ctx, old); err != nil {
			f.Why = err.Error()
			return f, nil
		}
		f.Path = home
	}
	s, err = o.Snapshots.UpdateStatus(ctx, s.ID, func(st *state.SnapshotStatus) error {
		*st = old.Status
		st.Phase, st.ReadyToUse, st.Progress, st.ObservedGeneration = state.Ready, true, nil, s.Generation
		return nil
	})
	if err == nil {
		err = b.RelabelSnapshot(s)
	}
	if err != nil {
		return f, err
	}
	f.Outcome = Recorded
	return f, nil
}
