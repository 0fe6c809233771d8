package agent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// finalizer ends the records of volumes and snapshots whose deletion has been answered. Nobody
// waits for that, so it gathers them for a moment and has one fsync serve all: an
// fsync for each would hold up those that are waited for.
type finalizer struct {
	kick chan struct{} // of capacity one

	mu   sync.Mutex
	todo map[string]discarded // by UID, until its record is gone
}

// discarded is a volume, or a snapshot, whose deletion has been answered.
type discarded struct {
	b        backend.Backend
	uid      string
	finalize func(ctx context.Context) error
	log      []any // keys and values that name it
}

func (a *Agent) discardedVolume(b backend.Backend, v state.Volume) discarded {
	return discarded{b, v.UID, func(ctx context.Context) error { return a.finalize(ctx, b, v) }, []any{"volumeID", v.ID, "pool", v.Spec.Pool}}
}

// settlePause is how long deletions are gathered.
const settlePause = 25 * time.Millisecond

// parallelEnds is how many records are ended at a time.
const parallelEnds = 16

func newFinalizer() *finalizer {
	return &finalizer{kick: make(chan struct{}, 1), todo: map[string]discarded{}}
}

// add has the record of what was discarded ended soon.
func (f *finalizer) add(d discarded) {
	f.mu.Lock()
	f.todo[d.uid] = d
	f.mu.Unlock()
	f.soon()
}

// has tells whether the record of this life is about to be ended.
func (f *finalizer) has(uid string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.todo[uid]
	return ok
}

func (f *finalizer) soon() {
	select {
	case f.kick <- struct{}{}:
	default:
	}
}

// run ends records until stop is closed, and then those that are left.
func (f *finalizer) run(stop <-chan struct{}) {
	pause := settlePause
	for {
		select {
		case <-f.kick:
		case <-stop:
			f.round()
			return
		}
		select {
		case <-time.After(pause):
		case <-stop:
		}
		pause = settlePause
		if !f.round() {
			pause = reconcileRetry
			f.soon()
		}
	}
}

// round ends the records of all that was gathered so far, and tells whether that
// succeeded. What did not stays for the next round, or for the next start.
func (f *finalizer) round() bool {
	f.mu.Lock()
	round := make([]discarded, 0, len(f.todo))
	settled := map[backend.Backend]error{}
	for _, d := range f.todo {
		round = append(round, d)
		settled[d.b] = nil
	}
	f.mu.Unlock()
	ctx := context.Background()
	for b := range settled {
		settled[b] = b.Settle(ctx)
	}
	// At once: what is durable together is waited for once, and an API server answers many.
	var g errgroup.Group
	g.SetLimit(parallelEnds)
	for _, d := range round {
		g.Go(func() error { return f.end(ctx, d, settled[d.b]) })
	}
	return g.Wait() == nil
}

// end ends the record of one that was settled, or could not be.
func (f *finalizer) end(ctx context.Context, d discarded, err error) error {
	if err == nil {
		err = d.finalize(ctx)
	}
	if err != nil {
		klog.ErrorS(err, "Ending the record of what was deleted failed; it will be tried again", d.log...)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.todo, d.uid)
	return nil
}

// finalize ends the record of a volume that was discarded, and settled.
func (a *Agent) finalize(ctx context.Context, b backend.Backend, v state.Volume) error {
	if err := a.o.Volumes.Finalize(ctx, v.ID, v.UID); err != nil && state.ReasonOf(err) != state.NotFound {
		return err
	}
	releaseID(b, v.Status.QuotaID)
	crash.Step(crash.DeleteFinalized)
	return nil
}
