// Package agent makes a node's disk what the records of its volumes and snapshots say, and
// writes into their status what it saw. It is the volume logic, once: a new
// volume, a retry and the recovery after a crash are the same reconciliation.
//
//	start   attach the pools ─► scan them against the records ─► reconcile what is unfinished
//	run     every changed record ─► create | resize | copy | remove
//	        every few seconds    ─► are the pools still there? refused ones: now?
//	        in the background    ─► empty the trash, report the node's pools
//
// Records of different volumes are reconciled in parallel, one volume's in turn.
package agent

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Publishes knows where volumes are mounted.
type Publishes interface {
	// Retire forbids publishes of a volume that is to be removed, until release
	// is called; InUse if it is published now.
	Retire(volumeID string) (release func(), err error)
	// Grow gives the volume's block device, if it has one, the size of its image.
	Grow(ctx context.Context, volumeID string, image *os.File) error
	// AddPool learns of the publishes that the volumes of another pool have.
	AddPool(name, dir string) error
}

// Volumes is the agent's half of the records, and the taking back of deletions for
// which nobody waits any more (see Options.CallersShareProcess).
type Volumes interface {
	state.ObservedVolumes
	Keep(ctx context.Context, id, uid string) error
}

// Snapshots is to snapshots what Volumes is to volumes.
type Snapshots interface {
	state.ObservedSnapshots
	Keep(ctx context.Context, id, uid string) error
}

// Options say what an agent works on.
type Options struct {
	// NodeID is the node whose records are reconciled.
	NodeID string
	// Pools are the node's pools, by name.
	Pools []PoolOptions
	// Volumes and Nodes are the records.
	Volumes Volumes
	Nodes   state.OwnedNodes
	// Snapshots are those of snapshots; nil: none are taken, and those on the disk are
	// orphans.
	Snapshots Snapshots
	// Store is the UUID of the store that keeps the records.
	Store string
	// CallersShareProcess tells that nobody waits any more for what an earlier
	// process did not finish: unanswered creations and deletions are undone at
	// the start. Otherwise they are finished.
	CallersShareProcess bool

	// open opens a pool; nil: openBackend. For tests.
	open func(PoolOptions) (backend.Backend, error)
}

// PoolOptions declare a pool.
type PoolOptions struct {
	// Name is how StorageClasses call the pool.
	Name string
	// Path is its directory, absolute; it is made if need be.
	Path string
	// ReserveBytes is never handed out.
	ReserveBytes int64
	// ReservePercent of the filesystem's size is never handed out, either.
	ReservePercent float64
	// ArchiveRetention is how long deleted volumes are kept in the archive; 0: for ever.
	ArchiveRetention time.Duration
	// Overcommit multiplies what may be promised; 0 means 1.
	Overcommit float64
	// Cordoned pools take no new volumes.
	Cordoned bool
	// Labels are told in the pool's status.
	Labels map[string]string
	// RequireMountPoint refuses the pool while nothing is mounted at Path.
	RequireMountPoint bool
	// Disk, if it is not nil, is mounted at Path: the pool's own filesystem.
	Disk *disk.Disk
	// Enforcement says what becomes of volumes that nothing holds to their size; "" means
	// EnforcementPreferred.
	Enforcement state.Enforcement
	// ProjectIDs are those that volumes on XFS and ext4 are given; zero: the usual ones.
	ProjectIDs config.IDRange
}

// Agent reconciles one node's volumes. Start it before use.
type Agent struct {
	o     Options
	pools *poolSet
	// configuring is held while pools come and go; it guards o.Pools, stopped and letGo.
	configuring sync.Mutex
	stopped     bool
	// letGo are the backends of pools that were let go. They stay open until Stop:
	// calls may be using their descriptors, which would be others' by then.
	letGo []backend.Backend
	// told and toldSnapshots are the changes of records since Attach, which Start begins to read.
	told          <-chan state.Event[state.VolumeSpec, state.VolumeStatus]
	toldSnapshots <-chan state.Event[state.SnapshotSpec, state.SnapshotStatus]
	life          context.Context // ends with Stop; set by Attach
	running       bool            // set by Start

	// started tells what an earlier process left from what is asked for now.
	started   time.Time
	publishes Publishes
	queue     *queue // of volumes
	snapshots *queue // of snapshots
	copies    *copies
	emptyings emptyings
	finalizer *finalizer
	report    *reporter
	// configWrong is what is wrong with the configuration; see SetConfigError.
	configWrong atomic.Pointer[string]
	metrics     *metrics

	stop       context.CancelFunc
	work       sync.WaitGroup
	finalizing sync.WaitGroup
	finalized  chan struct{} // closed when nothing more is added to the finalizer
}

// parallel bounds how many volumes are reconciled at a time: enough to share each
// fsync among many, few enough not to crowd out the node.
const parallel = 64

// New makes an agent; Start brings it to work.
func New(o Options) *Agent {
	if o.open == nil {
		o.open = openBackend
	}
	a := &Agent{o: o, pools: newPoolSet(), started: time.Now()}
	for _, po := range o.Pools {
		a.pools.put(newPool(po))
	}
	a.queue = newQueue(parallel, a.reconcile)
	a.snapshots = newQueue(parallel, a.reconcileSnapshot)
	a.copies = newCopies()
	a.finalizer = newFinalizer()
	a.report = &reporter{agent: a, kick: make(chan struct{}, 1)}
	a.metrics = newMetrics(a)
	return a
}

// Attach takes the pools into use and scans them. A pool that cannot be used is
// not an error: it is told in the node's status, and tried again later.
func (a *Agent) Attach(ctx context.Context) error {
	if err := ensureNode(ctx, a.o.Nodes, a.o.NodeID); err != nil {
		return err
	}
	// Before the scan looks at the records: what is declared from then on nobody else tells of.
	a.life, a.stop = context.WithCancel(context.Background())
	a.told = a.o.Volumes.Watch(a.life)
	if a.o.Snapshots != nil {
		a.toldSnapshots = a.o.Snapshots.Watch(a.life)
	}
	var errs error
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, p := range a.pools.all() {
		all.Go(func() {
			if err := a.attach(ctx, p); err != nil && state.ReasonOf(err) == state.Corrupt {
				mu.Lock()
				errs = err
				mu.Unlock()
			}
		})
	}
	all.Wait()
	// Now, not soon: whoever calls first shall find a node that has pools.
	if err := a.report.write(ctx); err != nil {
		klog.ErrorS(err, "Reporting the node's pools failed; it will be tried again", "node", a.o.NodeID)
	}
	return errs
}

// PoolPaths returns the paths of the pools in use, by name.
func (a *Agent) PoolPaths() map[string]string {
	paths := map[string]string{}
	for _, p := range a.pools.all() {
		if p.backend() != nil {
			paths[p.o.Name] = p.o.Path
		}
	}
	return paths
}

// Start begins to reconcile, after Attach. Publishes must know by now what is mounted.
func (a *Agent) Start(publishes Publishes) {
	a.publishes = publishes
	ctx := a.life
	a.running = true
	a.work.Go(func() {
		for e := range a.told {
			if !e.Gone && e.Object.Spec.Node == a.o.NodeID && unfinished(e.Object) {
				a.queue.add(e.Object.ID)
			}
		}
	})
	if a.toldSnapshots != nil {
		a.work.Go(func() {
			for e := range a.toldSnapshots {
				if !e.Gone && e.Object.Spec.Node == a.o.NodeID && unfinishedSnapshot(e.Object) {
					a.snapshots.add(e.Object.ID)
				}
			}
		})
	}
	a.resume()
	a.work.Go(func() { a.report.run(ctx) })
	a.work.Go(func() { a.inspect(ctx) })
	for _, p := range a.pools.all() {
		a.startPurge(p)
	}
	a.finalized = make(chan struct{})
	a.finalizing.Go(func() { a.finalizer.run(a.finalized) })
	a.report.soon()
}

// Stop lets the work in hand end and releases the pools. Background removals stop
// where they are; the next start goes on with them. Copies are called off.
func (a *Agent) Stop() {
	if a.stop != nil {
		a.stop()
	}
	a.configuring.Lock()
	a.stopped = true
	a.configuring.Unlock()
	a.queue.close()
	a.snapshots.close()
	a.copies.close()
	if a.finalized != nil {
		close(a.finalized)
	}
	a.finalizing.Wait()
	a.work.Wait()
	for _, p := range a.pools.all() {
		if b := p.backend(); b != nil {
			if err := b.Close(); err != nil {
				klog.ErrorS(err, "Closing a pool failed", "pool", p.o.Name)
			}
		}
	}
	for _, b := range a.letGo {
		if err := b.Close(); err != nil {
			klog.ErrorS(err, "Closing a pool that was let go failed")
		}
	}
}

// inspectEvery is how often pools are looked after.
const inspectEvery = 5 * time.Second

// inspect looks after the pools: whether those in use are still there, and whether
// refused ones can be used by now.
func (a *Agent) inspect(ctx context.Context) {
	tick := time.NewTicker(inspectEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.Inspect(ctx)
		}
	}
}

// Inspect looks at every pool once.
func (a *Agent) Inspect(ctx context.Context) {
	a.configuring.Lock()
	defer a.configuring.Unlock()
	for _, p := range a.pools.all() {
		if p.backend() != nil {
			p.keepMounted(ctx)
			p.checkStillThere()
			p.checkWritable()
		}
		if p.backend() == nil && a.attach(ctx, p) == nil {
			a.resumePool(p)
		}
	}
	if a.running {
		a.converge(ctx)
	}
	a.report.soon()
}
