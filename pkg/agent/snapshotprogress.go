package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	// copyingAfter is when a snapshot's record tells that it is being copied, so that the
	// caller is answered: those that share blocks are done long before.
	copyingAfter = 2 * time.Second
	// copyingEvery is how often it tells how far the copy is: each is a durable commit.
	copyingEvery = 5 * time.Second
)

// copyProgress tells in a snapshot's record how far its copy is.
type copyProgress struct {
	done atomic.Pointer[state.Progress]
	stop context.CancelFunc
	work sync.WaitGroup
}

// tellProgress begins to tell of a copy, which has until copyingAfter to be done before.
func (a *Agent) tellProgress(ctx context.Context, s state.Snapshot) *copyProgress {
	c := &copyProgress{}
	c.done.Store(&state.Progress{})
	ctx, c.stop = context.WithCancel(ctx)
	c.work.Go(func() {
		next := time.NewTimer(copyingAfter)
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			if err := a.tellCopying(ctx, s, *c.done.Load()); err != nil && ctx.Err() == nil {
				klog.ErrorS(err, "Telling of a copy failed; it goes on", "snapshotID", s.ID, "pool", s.Spec.Pool)
			}
			next.Reset(copyingEvery)
		}
	})
	return c
}

// set notes how far the copy is.
func (c *copyProgress) set(p state.Progress) { c.done.Store(&p) }

// end has nothing told any more when it returns.
func (c *copyProgress) end() {
	c.stop()
	c.work.Wait()
}

func (a *Agent) tellCopying(ctx context.Context, s state.Snapshot, p state.Progress) error {
	_, err := a.o.Snapshots.UpdateStatus(ctx, s.ID, func(st *state.SnapshotStatus) error {
		*st = s.Status
		st.Phase, st.Progress, st.ObservedGeneration = state.Copying, &p, s.Generation
		return nil
	})
	crash.Step(crash.SnapshotCopying)
	return err
}
