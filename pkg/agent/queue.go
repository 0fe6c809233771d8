package agent

import (
	"context"
	"sync"
	"time"
)

// queue runs one function for the volumes that changed: for different volumes in
// parallel, for one volume in turn, and at least once after its last change.
type queue struct {
	run   func(ctx context.Context, id string)
	slots chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	again  map[string]bool // the volumes in work, and whether they changed meanwhile
}

func newQueue(parallel int, run func(ctx context.Context, id string)) *queue {
	q := &queue{run: run, slots: make(chan struct{}, parallel), again: map[string]bool{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// add has the volume worked on, now or once the work in hand for it has ended.
func (q *queue) add(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if _, inWork := q.again[id]; inWork {
		q.again[id] = true
		return
	}
	q.again[id] = false
	q.work.Go(func() { q.workOn(id) })
}

// addAfter is add, a while later; close forgets it.
func (q *queue) addAfter(id string, d time.Duration) {
	time.AfterFunc(d, func() { q.add(id) })
}

func (q *queue) workOn(id string) {
	for {
		q.slots <- struct{}{}
		q.run(q.ctx, id)
		<-q.slots
		q.mu.Lock()
		if !q.again[id] || q.closed {
			delete(q.again, id)
			q.mu.Unlock()
			return
		}
		q.again[id] = false
		q.mu.Unlock()
	}
}

// close takes no more work and returns when that in hand has ended.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.work.Wait()
	q.cancel()
}

// length is the number of volumes that are being worked on or wait for it.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.again)
}
