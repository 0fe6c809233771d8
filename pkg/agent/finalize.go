package agent

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// finalizer ends the records of volumes whose deletion has been answered. Nobody
// waits for that, so it gathers them for a moment and has one fsync serve all: an
// fsync for each would hold up those that are waited for.
type finalizer struct {
	agent *Agent
	kick  chan struct{} // of capacity one

	mu   sync.Mutex
	todo map[string]discarded // by UID, until its record is gone
}

type discarded struct {
	v state.Volume
	b backend.Backend
}

// settlePause is how long deletions are gathered.
const settlePause = 25 * time.Millisecond

func newFinalizer(a *Agent) *finalizer {
	return &finalizer{agent: a, kick: make(chan struct{}, 1), todo: map[string]discarded{}}
}

// add has the record of a discarded volume ended soon.
func (f *finalizer) add(b backend.Backend, v state.Volume) {
	f.mu.Lock()
	f.todo[v.UID] = discarded{v, b}
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
	all := true
	for _, d := range round {
		err := settled[d.b]
		if err == nil {
			err = f.agent.finalize(ctx, d.b, d.v)
		}
		if err != nil {
			all = false
			klog.ErrorS(err, "Ending the record of a deleted volume failed; it will be tried again", "volumeID", d.v.ID, "pool", d.v.Spec.Pool)
			continue
		}
		f.mu.Lock()
		delete(f.todo, d.v.UID)
		f.mu.Unlock()
	}
	return all
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
