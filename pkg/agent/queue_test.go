package agent

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// runs records what a queue runs, and holds it until it may end.
type runs struct {
	mu      sync.Mutex
	now     map[string]int
	total   map[string]int
	most    int // at the same time
	release chan struct{}
}

func newRuns() *runs {
	return &runs{now: map[string]int{}, total: map[string]int{}, release: make(chan struct{})}
}

func (r *runs) run(_ context.Context, id string) {
	r.mu.Lock()
	r.now[id]++
	r.total[id]++
	all := 0
	for _, n := range r.now {
		all += n
	}
	r.most = max(r.most, all)
	r.mu.Unlock()
	<-r.release
	r.mu.Lock()
	r.now[id]--
	r.mu.Unlock()
}

func (r *runs) want(t *testing.T, id string, now, total int) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now[id] != now || r.total[id] != total {
		t.Errorf("%q runs %d times now and %d times in all, want %d and %d", id, r.now[id], r.total[id], now, total)
	}
}

func TestQueueRunsOneVolumeInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRuns()
		q := newQueue(4, r.run)
		q.add("a")
		r.want(t, "a", 1, 1)
		for range 10 {
			q.add("a")
		}
		r.want(t, "a", 1, 1)
		time.Sleep(time.Second) // of this world's clock
		if lag := q.lag(); lag != time.Second {
			t.Errorf("what changed a second ago waits for %v", lag)
		}
		r.release <- struct{}{}
		r.want(t, "a", 1, 2) // once more for all ten changes
		r.release <- struct{}{}
		r.want(t, "a", 0, 2)
		if n := q.length(); n != 0 {
			t.Errorf("%d volumes are in work", n)
		}
		q.add("a")
		r.want(t, "a", 1, 3)
		close(r.release)
		q.close()
	})
}

func TestQueueRunsVolumesInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRuns()
		q := newQueue(2, r.run)
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			q.add(id)
		}
		synctest.Wait()
		if r.most != 2 || q.length() != 5 {
			t.Errorf("%d run at the same time, %d in all; want 2 and 5", r.most, q.length())
		}
		close(r.release)
		synctest.Wait()
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			r.want(t, id, 0, 1)
		}
		if r.most != 2 || q.length() != 0 {
			t.Errorf("%d ran at the same time, %d are left; want 2 and 0", r.most, q.length())
		}
		q.close()
	})
}

func TestQueueCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRuns()
		q := newQueue(1, r.run)
		q.add("a")
		r.want(t, "a", 1, 1)
		q.add("a") // a change during the work
		q.addAfter("later", time.Hour)
		closed := make(chan struct{})
		go func() {
			q.close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("the queue closed while it works")
		default:
		}
		q.add("b")
		close(r.release)
		<-closed
		<-time.After(2 * time.Hour)
		r.want(t, "b", 0, 0)
		r.want(t, "later", 0, 0)
		if r.now["a"] != 0 {
			t.Error("work goes on after close")
		}
		q.close() // again
	})
}

func TestQueueRunsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRuns()
		close(r.release)
		q := newQueue(1, r.run)
		q.addAfter("a", time.Hour)
		<-time.After(59 * time.Minute)
		r.want(t, "a", 0, 0)
		<-time.After(time.Minute)
		r.want(t, "a", 0, 1)
		q.close()
	})
}

// TestStopWithWorkQueued stops an agent that has more to do than it can at a time.
func TestStopWithWorkQueued(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		release := make(chan struct{})
		w.intercept(func(b backend.Backend) backend.Backend {
			return &interceptor{Backend: b, build: func(ctx context.Context, v state.Volume) error {
				<-release
				return b.Build(ctx, v)
			}}
		})
		const volumes = 3 * parallel
		for i := range volumes {
			w.declare(number("v", i), mib)
		}
		w.settle()
		if n := w.agent.queue.length(); n != volumes {
			w.Errorf("%d volumes are in work", n)
		}
		stopped := make(chan struct{})
		go func() {
			w.agent.Stop()
			close(stopped)
		}()
		w.settle()
		select {
		case <-stopped:
			w.Error("the agent stopped in the midst of its work")
		default:
		}
		w.declare("late", mib) // nobody looks at it any more
		close(release)
		<-stopped
		w.agent = nil
		ready := 0
		for i := range volumes {
			switch v := w.get(number("v", i)); v.Status.Phase {
			case state.Ready:
				ready++
			case "":
			default:
				w.Errorf("volume %s is %+v", v.ID, v.Status)
			}
		}
		if got := len(w.names("volumes")); got != ready || ready < parallel || len(w.names(".tmp")) > 0 {
			w.Errorf("%d volumes are Ready, %d on the disk, %v in .tmp", ready, got, w.names(".tmp"))
		}
		if v := w.get("late"); v.Status.Phase != "" {
			w.Errorf("volume late is %+v", v.Status)
		}
		w.o.CallersShareProcess = false
		w.start()
		w.wantAllocated((volumes + 1) * mib)
	})
}

// TestStopEarly stops agents that have hardly begun.
func TestStopEarly(t *testing.T) {
	at := filesystem.New(t, "tmpfs", diskBytes)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, at)
		New(w.o).Stop()
		w.attach()
		w.stop()
		w.attach()
		w.agent.Start(w.publishes)
		w.stop()
	})
}
