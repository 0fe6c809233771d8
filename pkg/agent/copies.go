package agent

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// copies are the copies that are being made: snapshots, and volumes that begin as a copy
// of something. Each has a goroutine of its own, since it takes as long as it takes: no
// worker of a queue waits for it. Whatever is read by a copy is kept from being removed.
type copies struct {
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	running map[string]context.CancelFunc // by the UID of what is made
	// readers tells, by the UID of a source, what is being made of it; going holds the
	// UIDs of sources that are about to be removed.
	readers map[string]map[string]int
	going   map[string]struct{}
}

// parallelCopies bounds how many copies of one pool run at a time: more would take
// longer each, and the disk from the pods.
const parallelCopies = 4

func newCopies() *copies {
	c := &copies{running: map[string]context.CancelFunc{}, readers: map[string]map[string]int{}, going: map[string]struct{}{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// start runs a copy in the background, unless that of this UID is running; then is called
// with what became of it, when it does not count as running any more.
func (c *copies) start(uid string, run func(ctx context.Context) error, then func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, running := c.running[uid]; running || c.closed {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.running[uid] = cancel
	c.work.Go(func() {
		defer cancel()
		err := run(ctx)
		c.mu.Lock()
		delete(c.running, uid)
		c.mu.Unlock()
		then(err)
	})
}

// has tells whether the copy with this UID is running.
func (c *copies) has(uid string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, running := c.running[uid]
	return running
}

// callOff has the copy with this UID end soon, if it is running.
func (c *copies) callOff(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel, running := c.running[uid]; running {
		cancel()
	}
}

// read keeps a source from being removed until release is called; what tells what is
// made of it. Busy if it is about to be removed.
func (c *copies) read(source, what string) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, going := c.going[source]; going {
		return nil, state.Errorf(state.Busy, "the source of %s is being removed", what)
	}
	if c.readers[source] == nil {
		c.readers[source] = map[string]int{}
	}
	c.readers[source][what]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.readers[source][what]--; c.readers[source][what] == 0 {
			delete(c.readers[source], what)
		}
		if len(c.readers[source]) == 0 {
			delete(c.readers, source)
		}
	}, nil
}

// retire forbids to copy something that is to be removed, until release is called; InUse
// if a copy is being made of it.
func (c *copies) retire(source, what string) (release func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if readers := slices.Sorted(maps.Keys(c.readers[source])); len(readers) > 0 {
		return nil, state.Errorf(state.InUse, "%s is being copied to %s: delete it once that is done, or delete that first", what, readers[0])
	}
	c.going[source] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.going, source)
	}, nil
}

// close calls all copies off, and returns when they have ended.
func (c *copies) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.work.Wait()
}

// length is the number of copies that run or wait for their turn.
func (c *copies) length() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running)
}

// takeTurn waits until the pool has a copy less than it may have at a time.
func (p *nodePool) takeTurn(ctx context.Context) (end func(), err error) {
	select {
	case p.copying <- struct{}{}:
		return func() { <-p.copying }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
