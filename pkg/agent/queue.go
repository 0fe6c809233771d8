package agent

import (
	"context"
	"sync"
	"time"
)

// queue runs one function for the volumes that changed: for different volumes in
// parallel, for one volume in turn, and at least once after its last change.
type queue struct {
	run    func(ctx context.Context, id string)
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	again   map[string]bool      // the volumes in work, and whether they changed meanwhile
	since   map[string]time.Time // when the oldest change came that was not worked on
	waiting []string             // of those, the ones that no worker has taken
	idle    int                  // workers that wait for one
	filled  *sync.Cond           // told when waiting or closed changes
	room    int                  // how many workers may still be started
}

func newQueue(parallel int, run func(ctx context.Context, id string)) *queue {
	q := &queue{run: run, again: map[string]bool{}, since: map[string]time.Time{}, room: parallel}
	q.filled = sync.NewCond(&q.mu)
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
	if _, waits := q.since[id]; !waits {
		q.since[id] = time.Now()
	}
	if _, inWork := q.again[id]; inWork {
		q.again[id] = true
		return
	}
	q.again[id] = false
	q.waiting = append(q.waiting, id)
	if q.idle == 0 && q.room > 0 {
		q.room--
		q.work.Go(q.worker)
		return
	}
	q.filled.Signal()
}

// addAfter is add, a while later; close forgets it.
func (q *queue) addAfter(id string, d time.Duration) {
	time.AfterFunc(d, func() { q.add(id) })
}

// worker works until the queue is closed. Workers stay, since a goroutine that has
// done such work has the stack for it.
func (q *queue) worker() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for len(q.waiting) == 0 && !q.closed {
			q.idle++
			q.filled.Wait()
			q.idle--
		}
		if q.closed {
			return
		}
		id := q.waiting[0]
		q.waiting = q.waiting[1:]
		delete(q.since, id)
		q.mu.Unlock()
		q.run(q.ctx, id)
		q.mu.Lock()
		if q.again[id] {
			q.again[id] = false
			q.waiting = append(q.waiting, id)
		} else {
			delete(q.again, id)
		}
	}
}

// close takes no more work and returns when that in hand has ended.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.filled.Broadcast()
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

// lag is how long the change has waited that waits longest.
func (q *queue) lag() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var longest time.Duration
	for _, since := range q.since {
		longest = max(longest, time.Since(since))
	}
	return longest
}
