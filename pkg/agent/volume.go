package agent

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// unfinished tells whether there is anything to be done for a volume.
func unfinished(v state.Volume) bool {
	return v.Status.Phase != state.Ready && v.Status.Phase != state.Failed || state.Removable(v) || v.Status.ObservedGeneration < v.Generation ||
		v.Status.Phase == state.Ready && state.Emptying(v)
}

// reconcile makes the disk what the volume's record says. What fails for a reason
// that the caller must know goes into the record's status; what merely could not
// be written there is logged, and tried again a while later.
func (a *Agent) reconcile(ctx context.Context, id string) {
	began := time.Now()
	defer func() { a.metrics.reconciled.Observe(time.Since(began).Seconds()) }()
	v, err := a.o.Volumes.Get(ctx, id)
	if state.ReasonOf(err) == state.NotFound {
		return
	}
	switch phase := v.Status.Phase; {
	case err != nil:
	case a.copies.has(v.UID):
		if v.DeletedAt != nil || phase == state.Ready && !state.Emptying(v) {
			a.copies.callOff(v.UID)
		}
		// When it has ended, this is called again.
	case phase == state.Deleting:
		err = a.finish(ctx, v)
	case state.Removable(v):
		err = a.remove(ctx, v)
	case v.DeletedAt != nil: // refused: it is taken back
	case phase == "" || phase == state.Pending:
		crash.Step(crash.CreateRecorded)
		if v.Spec.Source != nil || v.Spec.Adopt != "" {
			a.restore(v)
			return
		}
		err = a.create(ctx, v)
	case phase == state.Ready && v.Status.ObservedGeneration < v.Generation:
		crash.Step(crash.ExpandRecorded)
		err = a.resize(ctx, v) // which changes the record: this is called again
	case phase == state.Ready && state.Emptying(v):
		crash.Step(crash.EmptyRecorded)
		a.empty(v)
	}
	if err != nil {
		a.retry(a.queue, id, err, "volumeID", id, "pool", v.Spec.Pool)
	}
}

// create builds the volume; package backend tells the order of its durable steps.
// A volume that cannot be built leaves nothing on the disk and says in its status
// why.
func (a *Agent) create(ctx context.Context, v state.Volume) error {
	v, b, release, err := a.build(ctx, v)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // a copy was called off
	}
	if err != nil {
		return a.fail(ctx, v, err)
	}
	crash.Step(crash.CreateCommitting)
	p := a.pools.get(v.Spec.Pool)
	var placeErr error
	place := func() {
		crash.Step(crash.CreateCommitted)
		_, placeErr = b.Place(ctx, v)
		crash.Step(crash.CreatePlaced)
	}
	_, err = a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		*st = state.VolumeStatus{Phase: state.Ready, Path: backend.PathOf(v), CapacityBytes: v.Spec.CapacityBytes,
			Enforced: enforced(b, v), QuotaID: v.Status.QuotaID, ObservedGeneration: v.Generation}
		return nil
	}, place)
	if err != nil {
		release()
		return err
	}
	p.countReady(+1)
	if v.Spec.Adopt != "" {
		p.noOrphan(v.Spec.Adopt)
	}
	if name, ok := pool.ArchivedName(v.Spec.Adopt); ok && placeErr == nil {
		p.left(name)
		klog.InfoS("A volume came back from the archive", "volumeID", v.ID, "pool", v.Spec.Pool, "entry", name)
	}
	a.report.soon()
	if placeErr != nil {
		// It is there nevertheless: Backend.Open finds it where it was built.
		klog.ErrorS(placeErr, "Placing a volume failed; the next start does it", "volumeID", v.ID, "pool", v.Spec.Pool)
	}
	return nil
}

// build reserves the volume's room and builds it there. It returns the volume as it
// was recorded meanwhile; release undoes the reservation.
func (a *Agent) build(ctx context.Context, v state.Volume) (_ state.Volume, b backend.Backend, release func(), err error) {
	p, b, err := a.usablePool(v.Spec.Pool)
	if err != nil {
		return v, nil, nil, err
	}
	if err = p.admit(); err != nil {
		return v, nil, nil, err
	}
	if err = checkOnDelete(v, b.Features()); err != nil {
		return v, nil, nil, err
	}
	if release, err = a.promise(ctx, p, b, v); err != nil {
		return v, nil, nil, err
	}
	if v, err = a.identify(ctx, b, v); err != nil {
		release()
		return v, nil, nil, err
	}
	if err = a.fill(ctx, p, b, v); err != nil {
		release()
		if derr := b.Discard(ctx, v); derr != nil {
			klog.ErrorS(derr, "Discarding a volume that could not be built failed", "volumeID", v.ID)
		}
		p.wakePurge()
		return v, nil, nil, err
	}
	return v, b, release, nil
}

// fail writes into the volume's status why it cannot be.
func (a *Agent) fail(ctx context.Context, v state.Volume, why error) error {
	klog.V(2).InfoS("Volume cannot be built", "volumeID", v.ID, "pool", v.Spec.Pool, "reason", state.ReasonOf(why), "err", why)
	_, err := a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.Phase, st.Reason, st.Message, st.ObservedGeneration = state.Failed, state.ReasonOf(why), why.Error(), v.Generation
		return nil
	})
	return err
}

// resize puts the size of v.Spec in force. One that cannot be leaves the old size
// in force and says in the status why.
func (a *Agent) resize(ctx context.Context, v state.Volume) error {
	more := v.Spec.CapacityBytes - v.Status.CapacityBytes
	p, b, err := a.usablePool(v.Spec.Pool)
	if err != nil && more != 0 { // else something was taken back, which takes no pool
		return a.refuse(ctx, v, err)
	}
	if more > 0 {
		if err := p.reserve(ctx, b, more, false); err != nil {
			return a.refuse(ctx, v, err)
		}
	}
	if more != 0 {
		if err := b.Resize(ctx, v); err != nil {
			if more > 0 {
				p.release(more)
			}
			return a.refuse(ctx, v, err)
		}
	}
	crash.Step(crash.ExpandResized)
	if more != 0 && v.Spec.AccessType == state.BlockAccess {
		if err := a.growDevice(ctx, b, v); err != nil {
			if more > 0 {
				p.release(more)
			}
			return a.refuse(ctx, v, err)
		}
		crash.Step(crash.ExpandGrown)
	}
	_, err = a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.CapacityBytes, st.Reason, st.Message, st.ObservedGeneration = v.Spec.CapacityBytes, "", "", v.Generation
		return nil
	})
	switch {
	case err != nil && more > 0: // the old size stays in the record, and in the account
		p.release(more)
	case err == nil && more < 0: // an expansion that the controller took back
		p.release(-more)
	}
	a.report.soon()
	crash.Step(crash.ExpandCommitted)
	return err
}

// growDevice gives a block volume that is published the size that its image has by now.
func (a *Agent) growDevice(ctx context.Context, b backend.Backend, v state.Volume) error {
	image, err := b.Open(v)
	if err != nil {
		return err
	}
	defer image.Close()
	return a.publishes.Grow(ctx, v.ID, image)
}

// enforced tells whether the volume is held to its size; a block volume always is.
func enforced(b backend.Backend, v state.Volume) bool {
	return v.Spec.AccessType == state.BlockAccess || b.Features().EnforcesLimits
}

// refuse writes into a living volume's status why what was asked of it is not done.
func (a *Agent) refuse(ctx context.Context, v state.Volume, why error) error {
	klog.V(2).InfoS("Change of a volume refused", "volumeID", v.ID, "reason", state.ReasonOf(why), "err", why)
	_, err := a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.Reason, st.Message, st.ObservedGeneration = state.ReasonOf(why), why.Error(), v.Generation
		return nil
	})
	return err
}

// remove takes the volume out of the way and ends its record; package backend
// tells the order of its durable steps. A volume that is in use stays, and its
// status says so: the controller takes the deletion back.
func (a *Agent) remove(ctx context.Context, v state.Volume) error {
	crash.Step(crash.DeleteRecorded)
	p, b, err := a.usablePool(v.Spec.Pool)
	if err != nil && v.Status.Phase != state.Ready {
		// It was never placed, and has no room. What a failed attempt may have left
		// in .tmp is taken away by the scan before the pool is used again.
		return a.o.Volumes.Finalize(ctx, v.ID, v.UID)
	}
	if err != nil {
		return a.refuse(ctx, v, err)
	}
	release, err := a.publishes.Retire(v.ID)
	if err != nil {
		return a.refuse(ctx, v, err)
	}
	defer release()
	releaseSource, err := a.copies.retire(v.UID, "volume "+v.ID)
	if err != nil {
		return a.refuse(ctx, v, err)
	}
	defer releaseSource()
	p.holdTrash(backend.PassingName(v))
	if err := b.Discard(ctx, v); err != nil {
		return a.refuse(ctx, v, err)
	}
	if v.Status.Phase != state.Ready {
		// Nobody was ever told that there is such a volume.
		p.freeTrash(backend.PassingName(v))
		if err := b.Settle(ctx); err != nil {
			return err
		}
		return a.finalize(ctx, b, v)
	}
	_, err = a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.Phase, st.Reason, st.Message, st.ObservedGeneration = state.Deleting, "", "", v.Generation
		return nil
	})
	if err != nil {
		return err
	}
	// The caller is being answered meanwhile.
	crash.Step(crash.DeleteCommitted)
	a.finalizer.add(a.discardedVolume(b, v))
	p.release(v.Status.CapacityBytes)
	p.countReady(-1)
	p.freeTrash(backend.PassingName(v))
	a.report.soon()
	return nil
}

// finish brings a deletion to its end that was answered, but did not get there.
func (a *Agent) finish(ctx context.Context, v state.Volume) error {
	if a.finalizer.has(v.UID) {
		return nil
	}
	p, b, err := a.usablePool(v.Spec.Pool)
	if err != nil {
		return err
	}
	if err := b.Discard(ctx, v); err != nil {
		return err
	}
	p.wakePurge()
	a.finalizer.add(a.discardedVolume(b, v))
	return nil
}

func (a *Agent) pool(name string) (*nodePool, error) {
	p := a.pools.get(name)
	if p == nil {
		return nil, state.Errorf(state.NotReady, "node %s has no pool %q", a.o.NodeID, name)
	}
	return p, nil
}

func (a *Agent) usablePool(name string) (*nodePool, backend.Backend, error) {
	p, err := a.pool(name)
	if err != nil {
		return nil, nil, err
	}
	b, err := p.usable()
	return p, b, err
}
