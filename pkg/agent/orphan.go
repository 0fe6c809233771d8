package agent

import (
	"context"
	"strings"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Orphans lists the orphans that are known of, each as POOL/PATH: those that the scan of their pool
// found, less those that were adopted or removed since.
func (a *Agent) Orphans() []string {
	var all []string
	for _, p := range a.pools.all() {
		p.mu.Lock()
		for _, at := range p.orphans {
			if !strings.Contains(at, "/") {
				at = backend.VolumePath(at)
			}
			all = append(all, p.o.Name+"/"+at)
		}
		p.mu.Unlock()
	}
	return all
}

// RemoveOrphan moves an orphan, at a path relative to its pool, to the trash, from where it is
// removed in the background. It refuses whatever a record speaks of, in whichever phase that is,
// and what is mounted. See package backend for the order of the durable steps.
func (a *Agent) RemoveOrphan(ctx context.Context, poolName, at string) error {
	p, b, err := a.usablePool(poolName)
	if err != nil {
		return err
	}
	err = b.RemoveOrphan(at, func(there *state.Meta) error {
		if err := a.isNobodys(ctx, p, b, at, there); err != nil {
			return err
		}
		return mount.Unused(p.o.Path, at)
	})
	if err != nil {
		return err
	}
	klog.InfoS("An orphan is removed, as was asked for", "pool", p.o.Name, "path", at)
	p.noOrphan(at)
	p.wakePurge()
	a.report.soon()
	return nil
}

// isNobodys returns nil if no record speaks of what lies at a path of the pool and carries the
// names of there: none that it carries is kept in the store, and none has its place there, is in
// it, or is to be made of it.
//
// It is called when nothing of the pool is adopted. A volume whose record is made meanwhile is
// placed nowhere where something lies, and so neither at that path nor, for checkClaimed,
// beneath it.
func (a *Agent) isNobodys(ctx context.Context, p *nodePool, b backend.Backend, at string, there *state.Meta) error {
	err := each(ctx, a.o.Volumes, func(v state.Volume) error {
		here := v.Spec.Node == a.o.NodeID && v.Spec.Pool == p.o.Name
		answered := v.Status.Phase == state.Ready || v.Status.Phase == state.Deleting // what it was made of is itself
		place := backend.PathOf(v)
		switch {
		case here && place == at:
			return isOf(at, "volume", v.ID, "has its place there")
		case here && strings.HasPrefix(place, at+"/"):
			return isOf(at, "volume", v.ID, "lies in it")
		case there != nil && there.UID == v.UID:
			return isOf(at, "volume", v.ID, carried)
		case here && !answered && v.Spec.Adopt == at:
			return isOf(at, "volume", v.ID, "is to be made of it")
		}
		return nil
	})
	if err == nil && a.o.Snapshots != nil {
		err = a.isNoSnapshot(ctx, p, at, there)
	}
	if err != nil || there == nil {
		return err
	}
	// The records of other nodes are not to be seen from here. A disk that was brought from
	// one has all that it held.
	old, err := b.ReadRecord(at)
	if err == nil && old.Spec.Node != a.o.NodeID {
		return state.Errorf(state.AlreadyExists, "%s carries the record of %s of node %s, which may have it: if it is to go, take that off first (setfattr -x %s)",
			state.Quote(at), old.ID, state.Quote(old.Spec.Node), backend.RecordXattr)
	}
	return nil
}

func (a *Agent) isNoSnapshot(ctx context.Context, p *nodePool, at string, there *state.Meta) error {
	return each(ctx, a.o.Snapshots, func(s state.Snapshot) error {
		switch {
		case s.Spec.Node == a.o.NodeID && s.Spec.Pool == p.o.Name && backend.SnapshotPath(s.ID) == at:
			return isOf(at, "snapshot", s.ID, "has its place there")
		case there != nil && there.UID == s.UID:
			return isOf(at, "snapshot", s.ID, carried)
		}
		return nil
	})
}

// carried is why what may be a copy is not removed: it may be the only one as well.
const carried = "has the record that it carries: if it is a copy, take that off the copy (setfattr -x " + backend.RecordXattr + ")"

func isOf(at, kind, id, why string) error {
	return state.Errorf(state.AlreadyExists, "%s is no orphan: %s %s %s", state.Quote(at), kind, id, why)
}
