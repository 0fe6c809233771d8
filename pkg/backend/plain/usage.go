package plain

import (
	"context"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	// countAtOnce is how many inodes are counted while the caller waits: some
	// milliseconds' worth. Most volumes have fewer, and are counted exactly.
	countAtOnce = 2000
	// countAgain is the age at which the count of a larger volume is renewed.
	countAgain = time.Minute
)

// Usage counts the blocks and inodes of the volume itself, each hard-linked file
// once. A volume of more than countAtOnce inodes is counted in the background,
// one volume of a pool at a time; until that has ended for the first time, what
// was counted at once is told, and afterwards a count at most about a minute old.
//
// The total is the size that was promised; what is available is bounded by the
// filesystem's free space, too.
func (b *Backend) Usage(ctx context.Context, v state.Volume) (state.Usage, error) {
	fs, err := b.Statfs()
	if err != nil {
		return state.Usage{}, err
	}
	if v.Spec.AccessType == state.BlockAccess {
		return b.ImageUsage(v, fs)
	}
	c, ok := b.counts.recent(v.ID)
	if !ok {
		if c, err = b.Count(ctx, v, countAtOnce); err != nil {
			return state.Usage{}, err
		}
		if !c.Complete {
			c = b.counts.better(v.ID, c, func(ctx context.Context) (pool.Count, error) { return b.Count(ctx, v, 0) })
		}
	}
	u := state.Usage{
		TotalBytes:      v.Status.CapacityBytes,
		UsedBytes:       c.Bytes,
		AvailableBytes:  max(0, min(v.Status.CapacityBytes-c.Bytes, fs.AvailableBytes)),
		UsedInodes:      c.Inodes,
		AvailableInodes: fs.AvailableInodes,
	}
	if fs.TotalInodes > 0 { // else the filesystem has as many as it likes
		u.TotalInodes = c.Inodes + fs.AvailableInodes
	}
	return u, nil
}

// counts remembers the counts of large volumes.
type counts struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup
	turn   chan struct{} // holds a token while a volume is counted

	mu   sync.Mutex
	byID map[string]*counted
}

type counted struct {
	pool.Count
	at      time.Time
	running bool
}

func (c *counts) init() {
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.turn = make(chan struct{}, 1)
	c.byID = map[string]*counted{}
}

func (c *counts) close() {
	c.cancel()
	c.done.Wait()
}

func (c *counts) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

// recent returns the last complete count while it is young enough.
func (c *counts) recent(id string) (pool.Count, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byID[id]
	if k == nil || !k.Complete || time.Since(k.at) > countAgain {
		return pool.Count{}, false
	}
	return k.Count, true
}

// better returns the last complete count, however old, or else partial, and has
// the volume counted in the background unless that is being done.
func (c *counts) better(id string, partial pool.Count, count func(context.Context) (pool.Count, error)) pool.Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byID[id]
	if k == nil {
		k = &counted{}
		c.byID[id] = k
	}
	if !k.running && c.ctx.Err() == nil {
		k.running = true
		c.done.Go(func() { c.count(id, k, count) })
	}
	if k.Complete {
		return k.Count
	}
	return partial
}

func (c *counts) count(id string, k *counted, count func(context.Context) (pool.Count, error)) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-c.ctx.Done():
		return
	}
	whole, err := count(c.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	k.running = false
	if err != nil {
		klog.V(2).InfoS("Counting a volume did not end", "volumeID", id, "err", err)
		return
	}
	k.Count, k.at = whole, time.Now()
}
