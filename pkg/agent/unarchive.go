package agent

import (
	"context"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// promise promises the volume its room, as reserve does; release takes that back. What comes
// back from the archive has its room there, and brings it along.
func (a *Agent) promise(ctx context.Context, p *nodePool, b backend.Backend, v state.Volume) (release func(), err error) {
	if name, ok := pool.ArchivedName(v.Spec.Adopt); ok {
		return p.bringRoom(b, name, v)
	}
	if err := p.reserve(ctx, b, v.Spec.CapacityBytes, v.Spec.Adopt != ""); err != nil {
		return nil, err
	}
	return func() { p.release(v.Spec.CapacityBytes) }, nil
}

// bringRoom moves, in the account, what an entry of the archive may take from the archive to
// the volume that it is to become. That is neither more nor less: the volume has the size that
// it had.
func (p *nodePool) bringRoom(b backend.Backend, name string, v state.Volume) (release func(), err error) {
	kept, err := b.OpenArchived(name)
	if err != nil {
		return nil, err
	}
	defer kept.File.Close()
	bytes := kept.Volume.Spec.CapacityBytes
	switch {
	case kept.Volume.Spec.AccessType != v.Spec.AccessType:
		return nil, state.Errorf(state.Incompatible, "%s of the archive is for %s access", state.Quote(name), kept.Volume.Spec.AccessType)
	case bytes != v.Spec.CapacityBytes:
		return nil, state.Errorf(state.OutOfRange, "%s of the archive has %d bytes, and comes back with as many, not with %d: expand it then", state.Quote(name), bytes, v.Spec.CapacityBytes)
	}
	p.archiveMu.Lock()
	defer p.archiveMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch of, leaving := p.leaving[name]; {
	case p.b == nil: // it was let go or refused meanwhile
		return nil, p.refused
	case leaving:
		return nil, becomes(name, of)
	}
	p.leaving[name] = v.ID
	p.archived -= bytes
	p.allocated += bytes
	return func() { p.stays(name, bytes) }, nil
}

// stays takes back what bringRoom did.
func (p *nodePool) stays(name string, bytes int64) {
	p.archiveMu.Lock()
	defer p.archiveMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.leaving, name)
	p.archived += bytes
	p.allocated -= bytes
}

// left is for a volume that has come out of the archive.
func (p *nodePool) left(name string) {
	p.archiveMu.Lock()
	defer p.archiveMu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.leaving, name)
}

// becomesNone returns nil if no record speaks of the volume that an entry of the archive was to
// become, whose names are heir's.
func (a *Agent) becomesNone(ctx context.Context, name string, heir *state.Meta) error {
	if heir == nil {
		return nil
	}
	v, err := a.o.Volumes.Get(ctx, heir.ID)
	switch {
	case state.ReasonOf(err) == state.NotFound, err == nil && v.UID != heir.UID:
		return nil
	case err != nil:
		return err
	}
	return becomes(name, heir.ID)
}

func becomes(name, id string) error {
	return state.Errorf(state.AlreadyExists, "%s of the archive is being made volume %s", state.Quote(name), id)
}

// PurgeArchived moves an entry of the archive to the trash, durably, from where it is removed in the
// background. It refuses what is about to become a volume again.
func (a *Agent) PurgeArchived(ctx context.Context, poolName, name string) error {
	p, b, err := a.usablePool(poolName)
	if err != nil {
		return err
	}
	if err := b.Expire(name, func(heir *state.Meta) error { return a.becomesNone(ctx, name, heir) }); err != nil {
		return err
	}
	klog.InfoS("A volume is removed from the archive, as was asked for", "pool", p.o.Name, "entry", name)
	p.wakePurge()
	return nil
}
