package agent

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

const mib = 1 << 20

// diskBytes is the size of the disk that a world has. On a tmpfs, empty volumes take
// none of it.
const diskBytes = 1 << 30

// world is a node: a disk, its records, and an agent. It has a clock of its own,
// which goes on only when everybody waits for it (package synctest).
type world struct {
	*testing.T
	at        string // where the disk is
	volumes   *records[state.VolumeSpec, state.VolumeStatus]
	snapshots *records[state.SnapshotSpec, state.SnapshotStatus]
	nodes     *records[state.NodeSpec, state.NodeStatus]
	publishes *publishes
	o         Options
	agent     *Agent
}

// inWorld runs a test in a world whose agent has one pool and was not started yet.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	at := filesystem.New(t, "tmpfs", diskBytes)
	synctest.Test(t, func(t *testing.T) { test(newWorld(t, at)) })
}

func newWorld(t *testing.T, at string) *world {
	w := &world{T: t, at: at, volumes: newRecords[state.VolumeSpec, state.VolumeStatus](), nodes: newRecords[state.NodeSpec, state.NodeStatus](),
		snapshots: newRecords[state.SnapshotSpec, state.SnapshotStatus](),
		publishes: &publishes{inUse: map[string]bool{}, retired: map[string]bool{}}}
	w.o = Options{NodeID: "node-1", Store: "store-1", Volumes: w.volumes, Snapshots: w.snapshots, Nodes: w.nodes, CallersShareProcess: true,
		Pools: []PoolOptions{{Name: "default", Path: filepath.Join(at, "pool")}}}
	t.Cleanup(func() { w.stop() })
	return w
}

// attach makes the agent and has it scan its pools.
func (w *world) attach() {
	w.Helper()
	w.agent = New(w.o)
	w.must(w.agent.Attach(w.Context()))
}

// start brings the agent to work, and waits until it has nothing to do.
func (w *world) start() {
	w.Helper()
	if w.agent == nil {
		w.attach()
	}
	w.agent.Start(w.publishes)
	w.settle()
}

func (w *world) stop() {
	if w.agent != nil {
		w.agent.Stop()
		w.agent = nil
	}
}

func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// settle waits until nobody has anything to do but for the clock, and for the
// deletions that were gathered meanwhile.
func (w *world) settle() {
	synctest.Wait()
	w.pass(2 * settlePause)
}

// pass lets the world's clock go on, at once.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func spec(id string, bytes int64) state.VolumeSpec {
	return state.VolumeSpec{Name: id, Node: "node-1", Pool: "default", CapacityBytes: bytes, AccessType: state.MountAccess, Mode: 0o777}
}

// declare asks for a volume.
func (w *world) declare(id string, bytes int64) state.Volume {
	w.Helper()
	v, err := w.volumes.Create(w.Context(), id, spec(id, bytes))
	w.must(err)
	return v
}

// create asks for a volume and returns what became of it.
func (w *world) create(id string, bytes int64) state.Volume {
	w.Helper()
	w.declare(id, bytes)
	w.settle()
	return w.get(id)
}

func (w *world) get(id string) state.Volume {
	w.Helper()
	v, err := w.volumes.Get(w.Context(), id)
	w.must(err)
	return v
}

func (w *world) delete(id string) {
	w.Helper()
	w.must(w.volumes.Delete(w.Context(), id))
	w.settle()
}

// resize asks for another size and returns what became of it.
func (w *world) resize(id string, bytes int64) state.Volume {
	w.Helper()
	_, err := w.volumes.UpdateSpec(w.Context(), id, func(s *state.VolumeSpec) error { s.CapacityBytes = bytes; return nil })
	w.must(err)
	w.settle()
	return w.get(id)
}

func (w *world) pool() *nodePool { return w.agent.pools.get("default") }

// status is what the agent tells of the pool, and what it wrote into the node's
// record if it was let.
func (w *world) status() state.PoolStatus {
	w.Helper()
	all := w.agent.Pools(w.Context())
	i := slices.IndexFunc(all, func(p state.PoolStatus) bool { return p.Name == "default" })
	if i < 0 {
		w.Fatalf("the agent tells of the pools %+v", all)
	}
	return all[i]
}

func (w *world) in(elem ...string) string {
	return filepath.Join(append([]string{w.at, "pool"}, elem...)...)
}

// names lists a directory of the pool.
func (w *world) names(dir string) []string {
	w.Helper()
	entries, err := os.ReadDir(w.in(dir))
	w.must(err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// wantDisk wants these volumes on the disk, and nothing else.
func (w *world) wantDisk(volumes ...string) {
	w.Helper()
	if got := w.names("volumes"); !slices.Equal(got, volumes) {
		w.Errorf("volumes/ holds %q, want %q", got, volumes)
	}
	for _, dir := range []string{".tmp", ".trash"} {
		if got := w.names(dir); len(got) > 0 {
			w.Errorf("%s holds %q", dir, got)
		}
	}
}

func (w *world) wantAllocated(bytes int64) {
	w.Helper()
	if got := w.status().AllocatedBytes; got != bytes {
		w.Errorf("%d bytes are allocated, want %d", got, bytes)
	}
}

func (w *world) wantPhase(v state.Volume, phase state.Phase, reason state.Reason) {
	w.Helper()
	if v.Status.Phase != phase || v.Status.Reason != reason {
		w.Errorf("volume %s is %q with reason %q (%s), want %q with %q", v.ID, v.Status.Phase, v.Status.Reason, v.Status.Message, phase, reason)
	}
	if reason != "" && v.Status.Message == "" {
		w.Errorf("volume %s tells no more than %q", v.ID, reason)
	}
	if v.Status.ObservedGeneration != v.Generation {
		w.Errorf("volume %s: generation %d of %d was observed", v.ID, v.Status.ObservedGeneration, v.Generation)
	}
}

func (w *world) wantGone(id string) {
	w.Helper()
	v, err := w.volumes.Get(w.Context(), id)
	if state.ReasonOf(err) != state.NotFound {
		w.Errorf("record of %s: %v, %+v, want it gone", id, err, v)
	}
}

func (w *world) wantReason(want state.Reason, err error) {
	w.Helper()
	if got := state.ReasonOf(err); got != want {
		w.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func (w *world) mkdir(elem ...string) string {
	w.Helper()
	path := w.in(elem...)
	w.must(os.MkdirAll(path, 0o755))
	return path
}

// write writes a file whose contents are found again by wantData.
func (w *world) write(elem ...string) {
	w.Helper()
	w.must(os.WriteFile(filepath.Join(w.in(elem...), "file"), []byte("data"), 0o600))
}

func (w *world) wantData(elem ...string) {
	w.Helper()
	if b, err := os.ReadFile(filepath.Join(w.in(elem...), "file")); err != nil || string(b) != "data" {
		w.Errorf("%s: %q, %v", filepath.Join(elem...), b, err)
	}
}

func (w *world) wantNoFile(elem ...string) {
	w.Helper()
	if _, err := os.Lstat(w.in(elem...)); !errors.Is(err, os.ErrNotExist) {
		w.Errorf("%s is there (%v)", filepath.Join(elem...), err)
	}
}

// intercept puts a backend of the test's own before the pool's.
func (w *world) intercept(with func(b backend.Backend) backend.Backend) {
	p := w.pool()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.b = with(p.b)
}
