// Package notify is how stores tell of changes: the Watch and the Wake of the
// contract in package state.
package notify

import (
	"context"
	"sync"
)

// Notifier tells of changes. Telling never waits: a waker is a channel of capacity
// one, and a watcher has a queue with at most one change per record. The zero value
// is ready for use.
//
// C is a change as the store has it, which many may read at once; E is the event that
// a reader gets, to keep and to change as he likes. A change becomes an event when it
// is read, so that one that is never read costs nothing.
type Notifier[C, E any] struct {
	pumps sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	wakers   map[string]map[chan struct{}]struct{} // by ID
	watchers map[*watcher[C]]context.CancelFunc
}

// Publish tells everybody of a change. The caller sees to the order of the changes
// of one record.
func (n *Notifier[C, E]) Publish(id string, c C) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for waker := range n.wakers[id] {
		signal(waker)
	}
	for w := range n.watchers {
		w.put(id, c)
	}
}

// Wake sends on woken (of capacity one) after every change of one record, and when the
// notifier is closed, until stop is called.
func (n *Notifier[C, E]) Wake(id string) (woken <-chan struct{}, stop func()) {
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

func (n *Notifier[C, E]) sleep(id string, waker chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.wakers[id], waker)
	if len(n.wakers[id]) == 0 {
		delete(n.wakers, id)
	}
}

// Watch tells of every change from now on, until ctx ends or the notifier is closed;
// then the channel is closed. A change that event does not return true for is not told.
func (n *Notifier[C, E]) Watch(ctx context.Context, event func(C) (E, bool)) <-chan E {
	events := make(chan E)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		close(events)
		return events
	}
	if n.watchers == nil {
		n.watchers = make(map[*watcher[C]]context.CancelFunc)
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher[C]{filled: make(chan struct{}, 1), latest: make(map[string]C)}
	n.watchers[w] = cancel
	n.pumps.Go(func() {
		defer close(events)
		defer cancel()
		defer n.forget(w)
		n.pump(ctx, w, event, events)
	})
	return events
}

func (n *Notifier[C, E]) forget(w *watcher[C]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.watchers, w)
}

// pump hands what is in the watcher's queue to its reader.
func (n *Notifier[C, E]) pump(ctx context.Context, w *watcher[C], event func(C) (E, bool), events chan<- E) {
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
		e, ok := event(c)
		if !ok {
			continue
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// Close ends all watches, and wakes everybody so that they find the store closed.
func (n *Notifier[C, E]) Close() {
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
type watcher[C any] struct {
	filled chan struct{} // of capacity one

	mu     sync.Mutex
	order  []string     // the IDs in latest, by first appearance
	latest map[string]C // by ID
}

// put adds a change, in the place of an earlier one of the same record.
func (w *watcher[C]) put(id string, c C) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, queued := w.latest[id]; !queued {
		w.order = append(w.order, id)
	}
	w.latest[id] = c
	signal(w.filled)
}

func (w *watcher[C]) take() (c C, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return c, false
	}
	id := w.order[0]
	c = w.latest[id]
	delete(w.latest, id)
	if w.order = w.order[1:]; len(w.order) == 0 {
		w.order = nil // a burst's memory goes with it
		w.latest = make(map[string]C)
	}
	return c, true
}
