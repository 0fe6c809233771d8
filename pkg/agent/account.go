package agent

import (
	"context"
	"errors"
	"maps"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// reserve promises bytes of the pool to a volume or snapshot, or says that there is no room.
// It is the one place where room is given out, so that concurrent creations never
// give the same room twice.
//
// held is for what has its bytes already: that the filesystem has none free is no reason
// to refuse it, though it must not have been promised more than it has.
func (p *nodePool) reserve(ctx context.Context, b backend.Backend, bytes int64, held bool) error {
	fs, err := b.Capacity(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.b == nil { // it was let go or refused meanwhile
		return p.refused
	}
	f := b.Features()
	f.EnforcesLimits = f.EnforcesLimits || held
	if free := p.available(fs, f); bytes > free {
		return state.Errorf(state.NoSpace, "pool %s has room for %d bytes, not for %d: ask for less, or make room", p.o.Name, free, bytes)
	}
	p.allocated += bytes
	return nil
}

// release gives back what reserve promised, or what a removed volume or snapshot had.
func (p *nodePool) release(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allocated -= bytes
}

// countReady keeps the number of volumes that are Ready.
func (p *nodePool) countReady(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.volumes += by
}

// countSnapshots keeps the number of snapshots that are Ready.
func (p *nodePool) countSnapshots(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snapshots += by
}

// available is what new volumes may be given, in bytes: what may be promised less
// what was; where limits are not enforced, no more than is free now. p.mu is held.
func (p *nodePool) available(fs state.Usage, f backend.Features) int64 {
	reserved := p.reserved(fs)
	free := int64(float64(fs.TotalBytes)*p.o.Overcommit) - reserved - p.allocated - p.archived
	if !f.EnforcesLimits {
		free = min(free, fs.AvailableBytes-reserved)
	}
	return max(0, free)
}

// reserved is what is never handed out, in bytes. p.mu is held.
func (p *nodePool) reserved(fs state.Usage) int64 {
	return p.o.ReserveBytes + int64(float64(fs.TotalBytes)*p.o.ReservePercent/100)
}

// status tells about the pool, for the node's record.
func (p *nodePool) status(ctx context.Context) state.PoolStatus {
	b := p.backend()
	var fs state.Usage
	var failed error
	if b != nil {
		fs, failed = b.Capacity(ctx) // without the lock: a disk may hang
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	st := state.PoolStatus{Name: p.o.Name, Path: p.o.Path, UUID: p.uuid, AllocatedBytes: p.allocated, Orphans: len(p.orphans),
		ReadyVolumes: p.volumes, ReadySnapshots: p.snapshots, Labels: maps.Clone(p.o.Labels), Cordoned: p.cordoned()}
	if b == nil {
		why := p.refused
		if why == nil { // it was taken into use at this instant
			why = errBeingOpened
		}
		st.Health = []state.Health{{Type: state.Inaccessible, Reason: "PoolRefused", Message: why.Error()}}
		return st
	}
	f := b.Features()
	st.Filesystem, st.EnforcesLimits = f.Filesystem, f.EnforcesLimits
	st.Enforcement, st.Unenforced = enforcementOf(p.o), unenforced(b, p.o)
	if failed == nil {
		failed = p.gone
	}
	if failed != nil {
		st.Health = []state.Health{{Type: state.Inaccessible, Reason: "PoolGone", Message: failed.Error()}}
		return st
	}
	st.Usage, st.AvailableBytes, st.ReservedBytes = fs, p.available(fs, f), p.reserved(fs)
	return st
}

var errBeingOpened = errors.New("the pool is being taken into use")
