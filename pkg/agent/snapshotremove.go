package agent

import (
	"context"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// removeSnapshot is remove for a snapshot: by the same steps. What was restored from it
// is independent of it. One that is being restored from stays, and its status says so.
func (a *Agent) removeSnapshot(ctx context.Context, s state.Snapshot) error {
	crash.Step(crash.DeleteRecorded)
	p, b, err := a.usablePool(s.Spec.Pool)
	if err != nil && s.Status.Phase != state.Ready {
		return a.o.Snapshots.Finalize(ctx, s.ID, s.UID) // as for a volume
	}
	if err != nil {
		return a.refuseSnapshot(ctx, s, err)
	}
	release, err := a.copies.retire(s.UID, "snapshot "+s.ID)
	if err != nil {
		return a.refuseSnapshot(ctx, s, err)
	}
	defer release()
	p.holdTrash(backend.PassingName(s))
	if err := b.DiscardSnapshot(ctx, s); err != nil {
		return a.refuseSnapshot(ctx, s, err)
	}
	if s.Status.Phase != state.Ready {
		p.freeTrash(backend.PassingName(s))
		if err := b.Settle(ctx); err != nil {
			return err
		}
		return a.finalizeSnapshot(ctx, s)
	}
	_, err = a.o.Snapshots.UpdateStatus(ctx, s.ID, func(st *state.SnapshotStatus) error {
		st.Phase, st.ReadyToUse, st.Reason, st.Message, st.ObservedGeneration = state.Deleting, false, "", "", s.Generation
		return nil
	})
	if err != nil {
		return err
	}
	// The caller is being answered meanwhile.
	crash.Step(crash.DeleteCommitted)
	a.finalizer.add(a.discardedSnapshot(b, s))
	p.release(s.Status.UsedBytes)
	p.countSnapshots(-1)
	p.freeTrash(backend.PassingName(s))
	a.report.soon()
	return nil
}

// finishSnapshot brings a deletion to its end that was answered, but did not get there.
func (a *Agent) finishSnapshot(ctx context.Context, s state.Snapshot) error {
	if a.finalizer.has(s.UID) {
		return nil
	}
	p, b, err := a.usablePool(s.Spec.Pool)
	if err != nil {
		return err
	}
	if err := b.DiscardSnapshot(ctx, s); err != nil {
		return err
	}
	p.wakePurge()
	a.finalizer.add(a.discardedSnapshot(b, s))
	return nil
}

// refuseSnapshot writes into a snapshot's status why it is not deleted.
func (a *Agent) refuseSnapshot(ctx context.Context, s state.Snapshot, why error) error {
	klog.V(2).InfoS("Deletion of a snapshot refused", "snapshotID", s.ID, "reason", state.ReasonOf(why), "err", why)
	_, err := a.o.Snapshots.UpdateStatus(ctx, s.ID, func(st *state.SnapshotStatus) error {
		st.Reason, st.Message, st.ObservedGeneration = state.ReasonOf(why), why.Error(), s.Generation
		return nil
	})
	return err
}

func (a *Agent) discardedSnapshot(b backend.Backend, s state.Snapshot) discarded {
	return discarded{b, s.UID, func(ctx context.Context) error { return a.finalizeSnapshot(ctx, s) }, []any{"snapshotID", s.ID, "pool", s.Spec.Pool}}
}

// finalizeSnapshot ends the record of a snapshot that was discarded, and settled.
func (a *Agent) finalizeSnapshot(ctx context.Context, s state.Snapshot) error {
	if err := a.o.Snapshots.Finalize(ctx, s.ID, s.UID); err != nil && state.ReasonOf(err) != state.NotFound {
		return err
	}
	crash.Step(crash.DeleteFinalized)
	return nil
}
