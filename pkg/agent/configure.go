package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Configure has the node's pools be the wanted ones, while the agent works. A new
// pool is taken into use, and what may change of one does so at once. A pool that is
// not wanted any more, or is wanted at another path, takes no new volumes, and goes
// once it has none.
func (a *Agent) Configure(ctx context.Context, wanted []PoolOptions) {
	a.configuring.Lock()
	defer a.configuring.Unlock()
	a.o.Pools = slices.Clone(wanted)
	a.converge(ctx)
	a.report.soon()
}

// converge brings the pools closer to those that are wanted; what is left to do is
// done by a later call. a.configuring is held.
func (a *Agent) converge(ctx context.Context) {
	if a.stopped {
		return
	}
	for _, p := range a.pools.all() {
		i := slices.IndexFunc(a.o.Pools, func(o PoolOptions) bool { return o.Name == p.o.Name })
		switch {
		case i >= 0 && a.o.Pools[i].Path == p.o.Path:
			p.changeDisk(ctx, a.o.Pools[i])
			p.configure(a.o.Pools[i])
			continue
		case i >= 0:
			p.drain(fmt.Sprintf("the configuration has it at %s, where it will be once its volumes at %s are gone", a.o.Pools[i].Path, p.o.Path))
		default:
			p.drain("it is not in the configuration any more, and goes once its volumes are gone")
		}
		if err := a.removeEmpty(ctx, p); err != nil {
			klog.ErrorS(err, "Letting go of a pool failed; it will be tried again", "pool", p.o.Name, "path", p.o.Path)
		}
	}
	for _, o := range a.o.Pools {
		if a.pools.get(o.Name) != nil {
			continue
		}
		p := newPool(o)
		a.pools.put(p)
		if a.attach(ctx, p) == nil {
			a.resumePool(p)
		}
		a.startPurge(p)
	}
}

// configure puts the options in force that may change while the pool is used.
func (p *nodePool) configure(o PoolOptions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.Cordoned != p.o.Cordoned || p.draining != "" {
		klog.InfoS("Pool is configured anew", "pool", p.o.Name, "cordoned", o.Cordoned)
	}
	p.o.ReserveBytes, p.o.ReservePercent, p.o.Overcommit = o.ReserveBytes, o.ReservePercent, overcommitOf(o)
	p.o.Cordoned, p.o.Labels, p.o.RequireMountPoint = o.Cordoned, maps.Clone(o.Labels), o.RequireMountPoint
	p.o.Enforcement, p.o.ProjectIDs, p.o.ArchiveRetention = o.Enforcement, o.ProjectIDs, o.ArchiveRetention
	p.draining = ""
}

// drain has the pool take no new volumes from now on, and says why.
func (p *nodePool) drain(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining == "" {
		klog.InfoS("Pool takes no new volumes", "pool", p.o.Name, "path", p.o.Path, "why", why)
	}
	p.draining = why
}

// cordoned tells why the pool takes no new volumes; "": it does. p.mu is held.
func (p *nodePool) cordoned() string {
	switch {
	case p.draining != "":
		return p.draining
	case p.o.Cordoned:
		return "it is cordoned in the configuration"
	case p.readOnly:
		return "the filesystem of its disk has become read-only (the disk below may be full, or fail; the kernel's log tells): make room there, end what uses the pool, and have it mounted anew"
	case p.mustEnforce():
		return "its enforcement is required, and nothing holds volumes to their size here: " + unenforced(p.b, p.o)
	}
	return ""
}

// admit returns nil if the pool takes new volumes.
func (p *nodePool) admit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if why := p.cordoned(); why != "" {
		return state.Errorf(state.NoSpace, "pool %s takes no new volumes: %s", p.o.Name, why)
	}
	return nil
}

// removeEmpty lets go of a pool that is drained and has no volumes and snapshots any more, in the
// records or in the trash. Its directory and marker stay, so that it can be had again.
//
// Durable step: the name is taken out of the node's record, so that another pool may
// have it. A crash before that leaves the name, and the pool's UUID is wanted there.
func (a *Agent) removeEmpty(ctx context.Context, p *nodePool) error {
	p.mu.Lock()
	has := p.volumes > 0 || p.snapshots > 0
	p.mu.Unlock()
	var err error
	if !has {
		has, err = a.hasRecords(ctx, p.o.Name)
	}
	if has || err != nil {
		return err
	}
	if b := p.backend(); b != nil {
		if trash, err := b.Trash(ctx); err != nil || len(trash) > 0 {
			return err
		}
	}
	b := p.backend()
	if !p.close() {
		return nil
	}
	if b != nil {
		a.letGo = append(a.letGo, b)
	}
	if err := forgetPool(ctx, a.o.Nodes, a.o.NodeID, p.o.Name); err != nil {
		return err
	}
	if p.stopPurge != nil {
		p.stopPurge()
	}
	a.pools.remove(p)
	klog.InfoS("Pool was let go", "pool", p.o.Name, "path", p.o.Path)
	return nil
}

// hasRecords tells whether volumes or snapshots of this node are recorded in a pool of that name.
func (a *Agent) hasRecords(ctx context.Context, pool string) (bool, error) {
	has, err := contains(ctx, a.o.Volumes, func(v state.Volume) bool { return v.Spec.Node == a.o.NodeID && v.Spec.Pool == pool })
	if !has && err == nil && a.o.Snapshots != nil {
		has, err = contains(ctx, a.o.Snapshots, func(s state.Snapshot) bool { return s.Spec.Node == a.o.NodeID && s.Spec.Pool == pool })
	}
	return has, err
}

// contains tells whether one of the records is such.
func contains[S, U any](ctx context.Context, records state.Records[S, U], such func(state.Object[S, U]) bool) (found bool, err error) {
	err = each(ctx, records, func(obj state.Object[S, U]) error {
		found = found || such(obj)
		return nil
	})
	return found, err
}

// close has the pool promise nothing any more, unless something was promised of it.
func (p *nodePool) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.b != nil && (p.allocated > 0 || p.volumes > 0 || p.snapshots > 0) {
		return false
	}
	p.b, p.refused = nil, state.Errorf(state.NotReady, "pool %s was let go: %s", p.o.Name, p.draining)
	return true
}

// forgetPool takes a pool out of a node's record.
func forgetPool(ctx context.Context, nodes state.OwnedNodes, nodeID, name string) error {
	_, err := nodes.UpdateSpec(ctx, nodeID, func(spec *state.NodeSpec) error {
		pools := maps.Clone(spec.Pools)
		delete(pools, name)
		spec.Pools = pools
		return nil
	})
	return err
}
