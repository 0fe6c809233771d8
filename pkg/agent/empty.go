package agent

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// emptyings are the volumes that could not be emptied, and are tried again a while later:
// each once, however often their records change meanwhile.
type emptyings struct{ waiting sync.Map } // by ID

// after calls again a while later, unless that is going to be done for the volume anyway.
func (e *emptyings) after(d time.Duration, id string, again func(id string)) {
	if _, waits := e.waiting.LoadOrStore(id, struct{}{}); waits {
		return
	}
	time.AfterFunc(d, func() {
		e.waiting.Delete(id)
		again(id)
	})
}

// empty has a volume emptied in the background, as a copy is made there: it takes as long
// as it takes. The durable steps:
//
//	(store)   the record says for which claim's sake (Spec.EmptyFor)
//	Empty     the contents are removed in place, and the directory is fsynced. A crash
//	          before: some are left, and it is done again
//	(store)   the status says so (EmptiedFor). Nobody publishes the volume before
func (a *Agent) empty(v state.Volume) {
	a.copies.start(v.UID, func(ctx context.Context) error { return a.emptyNow(ctx, v.ID) }, func(err error) {
		switch {
		case err == nil, state.ReasonOf(err) == state.Canceled:
			a.queue.add(v.ID) // something else may be asked of it
			return
		case state.ReasonOf(err) == state.NotFound:
			return
		}
		klog.V(2).InfoS("A volume cannot be emptied now; it will be tried again", "volumeID", v.ID, "pool", v.Spec.Pool, "after", reconcileRetry, "err", err)
		a.metrics.retried.Inc()
		a.emptyings.after(reconcileRetry, v.ID, a.queue.add)
	})
}

// emptyNow empties the volume, unless it is in use: then, and if it cannot be, its status
// says why.
func (a *Agent) emptyNow(ctx context.Context, id string) error {
	v, err := a.o.Volumes.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := a.emptyUnused(ctx, v); err != nil {
		if ctx.Err() == nil {
			if rerr := a.refuse(ctx, v, err); rerr != nil {
				return rerr
			}
		}
		return err
	}
	return nil
}

func (a *Agent) emptyUnused(ctx context.Context, v state.Volume) error {
	p, b, err := a.usablePool(v.Spec.Pool)
	if err != nil {
		return err
	}
	release, err := a.publishes.Retire(v.ID)
	if err != nil {
		return err
	}
	defer release()
	releaseSource, err := a.copies.retire(v.UID, "volume "+v.ID)
	if err != nil {
		return err
	}
	defer releaseSource()
	end, err := p.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	// Whoever has used it since it was asked for has taken that back before: it can be
	// published only then.
	if v, err = a.o.Volumes.Get(ctx, v.ID); err != nil {
		return err
	}
	if !state.Emptying(v) || v.DeletedAt != nil {
		return nil
	}
	if err := b.Empty(ctx, v); err != nil {
		return err
	}
	crash.Step(crash.EmptySynced)
	_, err = a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.EmptiedFor, st.Reason, st.Message = v.Spec.EmptyFor, "", ""
		return nil
	})
	if err == nil {
		klog.InfoS("Volume emptied of what its last claim left in it", "volumeID", v.ID, "pool", v.Spec.Pool, "claimUID", v.Spec.EmptyFor)
		a.report.soon()
	}
	return err
}
