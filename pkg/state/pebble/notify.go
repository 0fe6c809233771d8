package pebble

import (
	"context"
	"sync"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// change is what happened to a record: its value now, or its last if it is gone.
// Nobody changes the bytes, so that many may read them.
type change struct {
	key   string
	value []byte
	gone  bool
}

// notifier tells of changes. Telling never waits: a waker is a channel of capacity
// one, and a watcher has a queue with at most one change per record. The zero value
// is ready for use.
type notifier[S, U any] struct {
	pumps sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	wakers   map[string]map[chan struct{}]struct{} // by ID
	watchers map[*watcher]context.CancelFunc
}

// publish tells everybody of a change. The caller sees to the order of the changes
// of one record.
func (n *notifier[S, U]) publish(id string, c change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for waker := range n.wakers[id] {
		signal(waker)
	}
	for w := range n.watchers {
		w.put(id, c)
	}
}

func (n *notifier[S, U]) wake(id string) (woken <-chan struct{}, stop func()) {
	waker := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		signal(waker)
		return waker, func() {}
	}
	if n.wakers == nil {
		n.wakers = make(map[string]map[chan struct{}]struct{})
	}
	if n.wakers[id] == nil {
		n.wakers[id] = make(map[chan struct{}]struct{})
	}
	n.wakers[id][waker] = struct{}{}
	return waker, func() { n.sleep(id, waker) }
}

func (n *notifier[S, U]) sleep(id string, waker chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.wakers[id], waker)
	if len(n.wakers[id]) == 0 {
		delete(n.wakers, id)
	}
}

func (n *notifier[S, U]) watch(ctx context.Context) <-chan state.Event[S, U] {
	events := make(chan state.Event[S, U])
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		close(events)
		return events
	}
	if n.watchers == nil {
		n.watchers = make(map[*watcher]context.CancelFunc)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{filled: make(chan struct{}, 1), latest: make(map[string]change)}
	n.watchers[w] = cancel
	n.pumps.Go(func() {
		defer close(events)
		defer cancel()
		defer n.forget(w)
		n.pump(ctx, w, events)
	})
	return events
}

func (n *notifier[S, U]) forget(w *watcher) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.watchers, w)
}

// pump hands what is in the watcher's queue to its reader.
func (n *notifier[S, U]) pump(ctx context.Context, w *watcher, events chan<- state.Event[S, U]) {
	for {
		c, ok := w.take()
		if !ok {
			select {
			case <-w.filled:
				continue
			case <-ctx.Done():
				return
			}
		}
		obj, err := decode[S, U](c.key, c.value)
		if err != nil {
			klog.ErrorS(err, "Cannot tell of a change", "key", c.key) // a defect: it was encoded a moment ago
			continue
		}
		select {
		case events <- state.Event[S, U]{Object: obj, Gone: c.gone}:
		case <-ctx.Done():
			return
		}
	}
}

// close ends all watches, and wakes everybody so that they find the store closed.
func (n *notifier[S, U]) close() {
	n.mu.Lock()
	n.closed = true
	for _, cancel := range n.watchers {
		cancel()
	}
	for _, wakers := range n.wakers {
		for waker := range wakers {
			signal(waker)
		}
	}
	n.mu.Unlock()
	n.pumps.Wait()
}

// signal leaves a token in a channel of capacity one, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watcher is the queue of one watch.
type watcher struct {
	filled chan struct{} // of capacity one

	mu     sync.Mutex
	order  []string          // the IDs in latest, by first appearance
	latest map[string]change // by ID
}

// put adds a change, in the place of an earlier one of the same record.
func (w *watcher) put(id string, c change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, queued := w.latest[id]; !queued {
		w.order = append(w.order, id)
	}
	w.latest[id] = c
	signal(w.filled)
}

func (w *watcher) take() (c change, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return change{}, false
	}
	id := w.order[0]
	c = w.latest[id]
	delete(w.latest, id)
	if w.order = w.order[1:]; len(w.order) == 0 {
		w.order = nil // a burst's memory goes with it
		w.latest = make(map[string]change)
	}
	return c, true
}
