package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/moby/sys/mountinfo"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// nodePool is one pool of the node, and the account of what was promised of it.
type nodePool struct {
	// o.Name and o.Path stay as they are; the rest of o is guarded by mu.
	o         PoolOptions
	diskTold  string             // what was logged last of a disk that could not be changed; guarded by Agent.configuring
	stopPurge context.CancelFunc // guarded by Agent.configuring

	mu        sync.Mutex
	b         backend.Backend // nil while the pool is refused
	uuid      string
	refused   error // why b is nil
	gone      error // why a pool in use cannot be used now
	allocated int64 // bytes promised to volumes and snapshots, those being built included
	archived  int64 // bytes that volumes in the archive may take, but for those that are leaving
	volumes   int   // of them, those that are Ready
	snapshots int   // that are Ready
	orphans   []string
	backlog   int    // entries of .trash that wait for their removal
	readOnly  bool   // the pool's own disk takes no writes any more
	draining  string // why the pool takes no new volumes and is to go; "": it stays
	// leaving holds, by their names in the archive, the IDs of the volumes that come back from
	// there. Their bytes are in allocated.
	leaving map[string]string
	// archiveMu is held, before mu, while the archive is counted and while what is in it is
	// to leave, or stays: it must not be counted as it was before.
	archiveMu sync.Mutex
	// unfinished are the volumes and snapshots that the scan found in the midst of something.
	unfinished, unfinishedSnapshots []string

	copying     chan struct{}       // holds one thing for each copy that is being made
	purgeWanted chan struct{}       // of capacity one
	held        map[string]struct{} // entries of the trash that are not to be removed yet
}

func newPool(o PoolOptions) *nodePool {
	o.Overcommit = overcommitOf(o)
	return &nodePool{o: o, copying: make(chan struct{}, parallelCopies), purgeWanted: make(chan struct{}, 1), held: map[string]struct{}{}, leaving: map[string]string{},
		refused: state.Errorf(state.NotReady, "pool %s was not looked at yet", o.Name)}
}

func overcommitOf(o PoolOptions) float64 { return cmp.Or(o.Overcommit, 1) }

// backend returns the pool's backend, nil while the pool is refused.
func (p *nodePool) backend() backend.Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b
}

// options returns those in force.
func (p *nodePool) options() PoolOptions {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.o
}

// usable returns the pool's backend, or why there is none.
func (p *nodePool) usable() (backend.Backend, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.b == nil:
		return nil, p.refused
	case p.gone != nil:
		return nil, p.gone
	}
	return p.b, nil
}

// attach takes a pool into use: checks whose it is, marks a new one, opens it and
// scans it against the records.
//
// Durable steps for a new pool: the marker, which names this store; then the
// node's record, which names the pool's UUID. A crash between leaves a pool of
// this store that the record does not know: it is taken.
func (a *Agent) attach(ctx context.Context, p *nodePool) error {
	b, uuid, err := a.openPool(ctx, p.options())
	if err == nil {
		err = a.scan(ctx, p, b)
		if err == nil && a.publishes != nil { // else they are about to be read for all pools
			err = a.publishes.AddPool(p.o.Name, p.o.Path)
		}
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		if p.refused == nil || p.refused.Error() != err.Error() {
			klog.ErrorS(err, "Pool cannot be used", "pool", p.o.Name, "path", p.o.Path)
		}
		p.refused = err
		return err
	}
	p.b, p.uuid, p.refused = b, uuid, nil
	a.metrics.purged.WithLabelValues(p.o.Name) // a counter that is scraped from zero on has rates
	f := b.Features()
	klog.InfoS("Pool in use", "pool", p.o.Name, "path", p.o.Path, "uuid", uuid, "filesystem", f.Filesystem,
		"enforcesLimits", f.EnforcesLimits, "volumes", p.volumes, "snapshots", p.snapshots, "orphans", len(p.orphans))
	if why := unenforced(b, p.o); why != "" {
		klog.V(1).InfoS("The sizes of this pool's volumes are not enforced", "pool", p.o.Name, "enforcement", enforcementOf(p.o), "why", why)
	}
	return nil
}

func (a *Agent) openPool(ctx context.Context, o PoolOptions) (backend.Backend, string, error) {
	node, err := a.o.Nodes.Get(ctx, a.o.NodeID)
	if err != nil {
		return nil, "", err
	}
	known := node.Spec.Pools[o.Name]
	if err := mountDisk(ctx, o, known == ""); err != nil {
		return nil, "", err
	}
	if o.RequireMountPoint {
		if err := requireMountPoint(o); err != nil {
			return nil, "", err
		}
	}
	m, err := pool.ReadMarker(o.Path)
	switch {
	case errors.Is(err, pool.ErrNoMarker) && known != "":
		return nil, "", state.Errorf(state.NotReady, "%w, though pool %s (%s) was here: mount the disk it is on", err, o.Name, known)
	case errors.Is(err, pool.ErrNoMarker):
		if err := pool.Prepare(o.Path, a.o.Store); err != nil {
			return nil, "", err
		}
		m, err = pool.ReadMarker(o.Path)
	}
	switch {
	case err != nil:
		return nil, "", err
	case known != "" && known != m.UUID:
		return nil, "", state.Errorf(state.NotReady, "pool %s is %s, but %s holds %s: mount the right disk there", o.Name, known, o.Path, m.UUID)
	case m.Store != a.o.Store:
		return nil, "", state.Errorf(state.NotReady, "pool %s at %s belongs to store %s, not to this one (%s): "+
			"bring that store back, or rebuild this one from the pools with 'hostpath-csi recover'", o.Name, o.Path, m.Store, a.o.Store)
	}
	if err := a.freeOfOtherNames(ctx, node.Spec.Pools, o, m.UUID); err != nil {
		return nil, "", err
	}
	if known == "" {
		err := rememberPool(ctx, a.o.Nodes, a.o.NodeID, o.Name, m.UUID)
		if err != nil {
			return nil, "", err
		}
	}
	b, err := a.o.open(o)
	return b, m.UUID, err
}

// freeOfOtherNames returns nil if the pool at a path goes by no other name. Under two names
// its room would be promised twice, and the volumes of one be orphans of the other: so a name
// that records are under is kept, and one that none is under is let go.
func (a *Agent) freeOfOtherNames(ctx context.Context, known map[string]string, o PoolOptions, uuid string) error {
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if name == o.Name || known[name] != uuid {
			continue
		}
		has, err := a.hasRecords(ctx, name)
		if err != nil {
			return err
		}
		if has || a.pools.get(name) != nil {
			return state.Errorf(state.NotReady, "%s is pool %s (%s), which goes by that name until its volumes and snapshots are gone: have it in the configuration as %s", o.Path, name, uuid, name)
		}
		if err := forgetPool(ctx, a.o.Nodes, a.o.NodeID, name); err != nil {
			return err
		}
	}
	return nil
}

// requireMountPoint returns nil if a filesystem is mounted at the pool's path.
func requireMountPoint(o PoolOptions) error {
	mounted, err := mountinfo.Mounted(o.Path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return state.Errorf(state.NotReady, "whether anything is mounted at %s: %w", o.Path, err)
	case !mounted:
		return state.Errorf(state.NotReady, "nothing is mounted at %s, and pool %s has requireMountPoint: mount its disk there", o.Path, o.Name)
	}
	return nil
}

// rememberPool writes into a node's record which pool it has under a name.
func rememberPool(ctx context.Context, nodes state.OwnedNodes, nodeID, name, uuid string) error {
	_, err := nodes.UpdateSpec(ctx, nodeID, func(spec *state.NodeSpec) error {
		pools := maps.Clone(spec.Pools)
		if pools == nil {
			pools = map[string]string{}
		}
		pools[name] = uuid
		spec.Pools = pools
		return nil
	})
	return err
}

// ensureNode makes a node's record if there is none.
func ensureNode(ctx context.Context, nodes state.OwnedNodes, nodeID string) error {
	_, err := nodes.Create(ctx, nodeID, state.NodeSpec{})
	if err != nil && state.ReasonOf(err) != state.AlreadyExists {
		return fmt.Errorf("recording node %s: %w", nodeID, err)
	}
	return nil
}

// checkStillThere notices a pool whose disk went away, and one that came back.
func (p *nodePool) checkStillThere() {
	b := p.backend()
	gone := b.StillThere()
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(gone, backend.ErrRemounted) {
		// To be opened again. The old one stays open for the rest of the process's
		// life: calls may be using its descriptors, which would be others' by then.
		klog.InfoS("Pool was mounted anew", "pool", p.o.Name, "path", p.o.Path)
		p.b, p.gone, p.refused = nil, nil, gone
		return
	}
	if (gone == nil) != (p.gone == nil) {
		if gone != nil {
			klog.ErrorS(gone, "Pool went away", "pool", p.o.Name, "path", p.o.Path)
		} else {
			klog.InfoS("Pool came back", "pool", p.o.Name, "path", p.o.Path)
		}
	}
	p.gone = gone
}
