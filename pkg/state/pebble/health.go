package pebble

import (
	"context"
	"sync"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// probeAfter is how old the last durable commit may be to stand for the disk.
const probeAfter = 5 * time.Second

// health knows what went wrong in the background, and when a write last went right.
type health struct {
	now func() time.Time

	mu         sync.Mutex
	lastCommit time.Time
	background error  // the last flush or compaction failed
	damage     error  // a table does not read back; this does not pass
	running    *probe // nil: none
}

// probe is a durable write that tells whether the disk takes one.
type probe struct {
	done chan struct{}
	err  error // valid once done is closed
}

func newHealth(now func() time.Time) *health {
	if now == nil {
		now = time.Now
	}
	return &health{now: now}
}

// wrote notes that a durable commit went right.
func (h *health) wrote() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastCommit = h.now()
}

// listener learns what pebble does in the background.
func (h *health) listener() *pebbledb.EventListener {
	return &pebbledb.EventListener{
		BackgroundError: func(err error) {
			klog.ErrorS(err, "The state store failed in the background")
			h.note(err)
		},
		FlushEnd: func(info pebbledb.FlushInfo) {
			if info.Err == nil {
				h.note(nil)
			}
		},
		CompactionEnd: func(info pebbledb.CompactionInfo) {
			if info.Err == nil {
				h.note(nil)
			}
		},
		// Unless told otherwise, pebble ends the process here. The records that
		// can be read are still good, and those that cannot say so themselves.
		DataCorruption: func(info pebbledb.DataCorruptionInfo) {
			klog.ErrorS(info.Details, "The state store is damaged", "file", info.Path)
			h.mu.Lock()
			defer h.mu.Unlock()
			h.damage = info.Details
		},
	}
}

func (h *health) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.background = err
}

// Healthy returns nil while the store can read and write. Without traffic it
// writes something small itself, at most every five seconds and for all callers
// together; a disk that hangs is told of by the end of ctx.
func (s *Store) Healthy(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	p, err := s.examine()
	s.life.RUnlock() // the probe is a call of its own, and may outlast this one
	if p == nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return state.Errorf(state.Unavailable, "the disk of the state store in %s does not answer: %w", s.dir, ctx.Err())
	}
}

// examine returns what is known, or else a probe that will tell.
func (s *Store) examine() (*probe, error) {
	if err := s.checkDisk(); err != nil {
		return nil, err
	}
	h := s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.damage != nil:
		return nil, damaged(s.dir, "%w", h.damage)
	case h.background != nil:
		return nil, state.Errorf(state.Unavailable, "the state store in %s fails in the background: %w", s.dir, h.background)
	case h.running == nil && h.now().Sub(h.lastCommit) < probeAfter:
		return nil, nil
	case h.running == nil:
		h.running = &probe{done: make(chan struct{})}
		go s.run(h.running)
	}
	return h.running, nil
}

func (s *Store) run(p *probe) {
	p.err = s.probe()
	s.health.mu.Lock()
	s.health.running = nil
	s.health.mu.Unlock()
	close(p.done)
}

func (s *Store) probe() error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.life.RUnlock()
	return s.commit(pebbledb.Sync, nil)
}
