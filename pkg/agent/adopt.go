package agent

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// adopt builds a volume out of what is in the pool already: see package
// backend for the order of its durable steps.
func (a *Agent) adopt(ctx context.Context, p *nodePool, b backend.Backend, v state.Volume) error {
	end, err := p.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	return b.Adopt(ctx, v, func(there *state.Meta) error {
		if name, ok := pool.ArchivedName(v.Spec.Adopt); ok {
			return a.becomesNone(ctx, name, there)
		}
		return a.isOrphan(ctx, v, there)
	})
}

// isOrphan returns nil if what is at v.Spec.Adopt belongs to no other volume: not to that
// which its record names, if it has one, and not to that which has its place there. It is called
// when nobody else adopts anything in the pool; and a place that is taken is given to no
// new volume.
func (a *Agent) isOrphan(ctx context.Context, v state.Volume, there *state.Meta) error {
	belongs := func(id string) error {
		return state.Errorf(state.AlreadyExists, "adopt is %s; that is volume %s already", state.Quote(v.Spec.Adopt), id)
	}
	if there != nil {
		other, err := a.o.Volumes.Get(ctx, there.ID)
		switch {
		case err == nil && other.UID == there.UID && backend.PathOf(other) == v.Spec.Adopt:
			return belongs(there.ID)
		case err == nil && other.UID == there.UID:
			return state.Errorf(state.AlreadyExists, "adopt is %s; that carries the record of volume %s: if it is a copy of it, take that off the copy (setfattr -x %s)",
				state.Quote(v.Spec.Adopt), there.ID, backend.RecordXattr)
		case err != nil && state.ReasonOf(err) != state.NotFound:
			return err
		}
	}
	id, rest, _ := strings.Cut(v.Spec.Adopt, "/")
	if id == "claims" {
		id, _ = state.PathID(rest)
	} else {
		id = path.Base(v.Spec.Adopt)
	}
	if !state.ValidID(id) || id == v.ID {
		return nil // the ID is this volume's, and no other record has it
	}
	other, err := a.o.Volumes.Get(ctx, id)
	switch {
	case state.ReasonOf(err) == state.NotFound:
		return nil
	case err != nil:
		return err
	case other.Spec.Node == v.Spec.Node && other.Spec.Pool == v.Spec.Pool && backend.PathOf(other) == v.Spec.Adopt:
		return belongs(id)
	}
	return nil
}

// noOrphan takes from the list of orphans what was adopted.
func (p *nodePool) noOrphan(at string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orphans = slices.DeleteFunc(p.orphans, func(orphan string) bool { return orphan == at || backend.VolumePath(orphan) == at })
}
