package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"
)

// wakePurge tells that there is something in the trash.
func (p *nodePool) wakePurge() {
	select {
	case p.purgeWanted <- struct{}{}:
	default:
	}
}

// holdTrash keeps an entry from being removed until freeTrash: while the record of
// what is in it says Ready, the entry tells the start-up scan that it was deleted.
func (p *nodePool) holdTrash(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[name] = struct{}{}
}

func (p *nodePool) freeTrash(name string) {
	p.mu.Lock()
	delete(p.held, name)
	p.mu.Unlock()
	p.wakePurge()
}

// isHeld tells whether an entry of the trash is kept: one of a held name, or of that
// with something behind it where the name was taken.
func (p *nodePool) isHeld(entry string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.held {
		if rest, ok := strings.CutPrefix(entry, name); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

const (
	purgeRetry       = time.Minute
	purgeLogInterval = 10 * time.Second
)

// startPurge has a pool's trash emptied until the agent stops or lets the pool go.
func (a *Agent) startPurge(p *nodePool) {
	ctx, stop := context.WithCancel(a.life)
	p.stopPurge = stop
	a.work.Go(func() {
		defer stop()
		a.purge(ctx, p)
	})
}

// purge empties a pool's trash, one entry at a time, whenever something is put
// there, until ctx ends. What cannot be removed is tried again later.
func (a *Agent) purge(ctx context.Context, p *nodePool) {
	retry := time.NewTimer(purgeRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.purgeWanted:
		case <-retry.C:
		}
		retry.Reset(purgeRetry)
		a.purgeOnce(ctx, p)
	}
}

func (a *Agent) purgeOnce(ctx context.Context, p *nodePool) {
	b := p.backend()
	if b == nil {
		return
	}
	a.expire(ctx, p, b)
	entries, err := b.Trash(ctx)
	if err != nil {
		klog.ErrorS(err, "Listing the trash failed", "pool", p.o.Name)
		return
	}
	defer p.countArchive(b)
	entries = slices.DeleteFunc(entries, p.isHeld)
	p.setBacklog(len(entries))
	for i, name := range entries {
		removed, logged := 0, time.Now()
		kept, err := a.dispose(ctx, p, b, name)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			klog.ErrorS(err, "Archiving or overwriting a deleted volume failed; it will be tried again", "pool", p.o.Name, "entry", name)
			continue
		}
		if kept {
			p.setBacklog(len(entries) - i - 1)
			continue
		}
		err = b.Purge(ctx, name, func(inodes int) {
			removed += inodes
			a.metrics.purged.WithLabelValues(p.o.Name).Add(float64(inodes))
			if time.Since(logged) >= purgeLogInterval {
				logged = time.Now()
				klog.InfoS("Removing a deleted volume", "pool", p.o.Name, "entry", name, "inodesRemoved", removed, "entriesLeft", len(entries)-i)
			}
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			klog.ErrorS(err, "Removing a deleted volume failed; it will be tried again", "pool", p.o.Name, "entry", name, "inodesRemoved", removed)
			continue
		}
		p.setBacklog(len(entries) - i - 1)
		klog.V(2).InfoS("Removed a deleted volume", "pool", p.o.Name, "entry", name, "inodesRemoved", removed)
	}
	a.report.soon()
}

func (p *nodePool) setBacklog(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backlog = n
}
