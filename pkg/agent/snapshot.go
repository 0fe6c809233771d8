package agent

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// unfinishedSnapshot tells whether there is anything to be done for a snapshot.
func unfinishedSnapshot(s state.Snapshot) bool {
	return s.Status.Phase != state.Ready && s.Status.Phase != state.Failed || state.RemovableSnapshot(s) || s.Status.ObservedGeneration < s.Generation
}

// reconcileSnapshot makes the disk what the snapshot's record says, as reconcile does
// for a volume. The copy itself is made in the background.
func (a *Agent) reconcileSnapshot(ctx context.Context, id string) {
	s, err := a.o.Snapshots.Get(ctx, id)
	if state.ReasonOf(err) == state.NotFound {
		return
	}
	switch phase := s.Status.Phase; {
	case err != nil:
	case a.copies.has(s.UID):
		if s.DeletedAt != nil {
			a.copies.callOff(s.UID)
		}
		// When it has ended, this is called again.
	case phase == state.Deleting:
		err = a.finishSnapshot(ctx, s)
	case state.RemovableSnapshot(s):
		err = a.removeSnapshot(ctx, s)
	case s.DeletedAt != nil: // refused: it is taken back
	case phase == "" || phase == state.Pending || phase == state.Copying:
		crash.Step(crash.SnapshotRecorded)
		a.copies.start(s.UID, func(ctx context.Context) error { return a.takeSnapshot(ctx, s) }, func(err error) {
			if err != nil {
				a.retry(a.snapshots, id, err, "snapshotID", id, "pool", s.Spec.Pool)
				return
			}
			a.snapshots.add(id) // its deletion may have been asked for meanwhile
		})
	case phase == state.Ready && s.Status.ObservedGeneration < s.Generation: // a deletion that was taken back
		_, err = a.o.Snapshots.UpdateStatus(ctx, id, func(st *state.SnapshotStatus) error {
			st.ObservedGeneration = s.Generation
			if st.ReadyToUse { // else its data is lost, which is still to be told
				st.Reason, st.Message = "", ""
			}
			return nil
		})
	}
	if err != nil {
		a.retry(a.snapshots, id, err, "snapshotID", id, "pool", s.Spec.Pool)
	}
}

// takeSnapshot copies a volume. The order of the durable steps is a volume's, as package
// backend tells it; but that a copy which takes long is told of before it is whole: then
// the record says Copying, durably, and the caller was answered. After a crash such a
// copy is made again from the beginning. One that cannot be made leaves nothing on the
// disk and says in its status why.
func (a *Agent) takeSnapshot(ctx context.Context, s state.Snapshot) error {
	answered := s.Status.Phase == state.Copying
	s, b, release, err := a.copySnapshot(ctx, s)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case answered && state.ReasonOf(err) == state.NotReady:
		return err // it was promised: its pool may come back
	case err != nil:
		return a.failSnapshot(ctx, s, err)
	}
	crash.Step(crash.SnapshotCommitting)
	var placeErr error
	place := func() {
		crash.Step(crash.SnapshotCommitted)
		_, placeErr = b.PlaceSnapshot(ctx, s)
		crash.Step(crash.SnapshotPlaced)
	}
	_, err = a.o.Snapshots.UpdateStatus(ctx, s.ID, func(st *state.SnapshotStatus) error {
		*st = s.Status
		st.Phase, st.ReadyToUse, st.ObservedGeneration = state.Ready, true, s.Generation
		return nil
	}, place)
	if err != nil {
		release()
		return err
	}
	a.pools.get(s.Spec.Pool).countSnapshots(+1)
	a.report.soon()
	if placeErr != nil {
		// It is there nevertheless: Backend.OpenSnapshot finds it where it was built.
		klog.ErrorS(placeErr, "Placing a snapshot failed; the next start does it", "snapshotID", s.ID, "pool", s.Spec.Pool)
	}
	return nil
}

// copySnapshot reserves what the snapshot takes, and makes it. The snapshot it returns
// has in its status what its record on the disk says of it; release undoes the
// reservation.
func (a *Agent) copySnapshot(ctx context.Context, s state.Snapshot) (_ state.Snapshot, b backend.Backend, release func(), err error) {
	p, b, err := a.usablePool(s.Spec.Pool)
	if err != nil {
		return s, nil, nil, err
	}
	v, let, err := keep(ctx, a.copies, a.o.Volumes, s.Spec.Volume, "snapshot "+s.ID)
	if err != nil {
		return s, nil, nil, err
	}
	defer let()
	if v.UID != s.Spec.VolumeUID || v.Status.Phase != state.Ready {
		return s, nil, nil, state.Errorf(state.NotFound, "there is no volume %s any more to take snapshot %s of", s.Spec.Volume, s.ID)
	}
	end, err := p.takeTurn(ctx)
	if err != nil {
		return s, nil, nil, err
	}
	defer end()
	from, err := b.Open(v)
	if err != nil {
		return s, nil, nil, err
	}
	defer from.Close()
	if s.Status, err = describe(ctx, b, s.ID, v); err != nil {
		return s, nil, nil, err
	}
	if err = p.reserve(ctx, b, s.Status.UsedBytes, false); err != nil {
		return s, nil, nil, err
	}
	release = func() { p.release(s.Status.UsedBytes) }
	told := a.tellProgress(ctx, s)
	err = b.Snapshot(ctx, s, from, told.set)
	told.end()
	if err == nil {
		s, err = a.measure(ctx, b, s)
	}
	if err != nil {
		release()
		if derr := b.DiscardSnapshot(ctx, s); derr != nil {
			klog.ErrorS(derr, "Discarding a snapshot that could not be made failed", "snapshotID", s.ID)
		}
		p.wakePurge()
		return s, nil, nil, err
	}
	return s, b, release, nil
}

// describe tells what a snapshot of the volume will be, that begins now.
func describe(ctx context.Context, b backend.Backend, id string, v state.Volume) (st state.SnapshotStatus, err error) {
	f := b.Features()
	began := time.Now().UTC()
	st = state.SnapshotStatus{Phase: state.Pending, Path: backend.SnapshotPath(id), SizeBytes: v.Status.CapacityBytes, CreationTime: &began,
		Atomic: f.AtomicSnapshots || f.SharesBlocks && v.Spec.AccessType == state.BlockAccess}
	st.UsedBytes, err = b.Footprint(ctx, v)
	return st, err
}

// measure corrects the size of a snapshot whose volume grew while it was copied.
func (a *Agent) measure(ctx context.Context, b backend.Backend, s state.Snapshot) (state.Snapshot, error) {
	v, err := a.o.Volumes.Get(ctx, s.Spec.Volume)
	if err != nil {
		return s, err
	}
	size := max(s.Status.SizeBytes, v.Status.CapacityBytes)
	if s.Spec.AccessType == state.BlockAccess { // an image tells by itself
		f, err := b.OpenSnapshot(s)
		if err != nil {
			return s, err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return s, err
		}
		size = st.Size()
	}
	if size == s.Status.SizeBytes {
		return s, nil
	}
	s.Status.SizeBytes = size
	return s, b.RelabelSnapshot(s)
}

// failSnapshot writes into the snapshot's status why it cannot be.
func (a *Agent) failSnapshot(ctx context.Context, s state.Snapshot, why error) error {
	klog.V(2).InfoS("Snapshot cannot be made", "snapshotID", s.ID, "pool", s.Spec.Pool, "reason", state.ReasonOf(why), "err", why)
	_, err := a.o.Snapshots.UpdateStatus(ctx, s.ID, func(st *state.SnapshotStatus) error {
		*st = state.SnapshotStatus{Phase: state.Failed, Reason: state.ReasonOf(why), Message: why.Error(), ObservedGeneration: s.Generation}
		return nil
	})
	return err
}
