package agent

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// recorded is the pool's status in the node's record.
func (w *world) recorded() state.PoolStatus {
	w.Helper()
	n, err := w.nodes.Get(w.Context(), "node-1")
	w.must(err)
	p, ok := n.Status.Pool("default")
	if !ok {
		w.Fatalf("the node's record has the pools %+v", n.Status.Pools)
	}
	return p
}

// wantUnusable wants the pool told as one that cannot be used.
func (w *world) wantUnusable(reason, says string) {
	w.Helper()
	w.pass(2 * reportPause)
	for _, st := range []state.PoolStatus{w.status(), w.recorded()} {
		if st.Usable() || st.Health[0].Type != state.Inaccessible || st.Health[0].Reason != reason || !strings.Contains(st.Health[0].Message, says) {
			w.Errorf("the pool is told as %+v, want %s that says %q", st, reason, says)
		}
	}
}

func (w *world) wantUsable() {
	w.Helper()
	w.pass(2 * reportPause)
	for _, st := range []state.PoolStatus{w.status(), w.recorded()} {
		if !st.Usable() || st.Usage.TotalBytes != diskBytes || st.AvailableBytes <= 0 || st.Filesystem != "tmpfs" || st.UUID == "" || st.Path != w.in() {
			w.Errorf("the pool is told as %+v, want it usable", st)
		}
	}
}

func TestNewPool(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.wantUsable()
		n, err := w.nodes.Get(w.Context(), "node-1")
		w.must(err)
		m, err := pool.ReadMarker(w.in())
		w.must(err)
		if n.Spec.Pools["default"] != m.UUID || m.Store != "store-1" {
			w.Errorf("the node's record has the pools %v, the marker is %+v", n.Spec.Pools, m)
		}
		if paths := w.agent.PoolPaths(); len(paths) != 1 || paths["default"] != w.in() {
			w.Errorf("paths %v", paths)
		}
		w.create("a", 10*mib)
		w.pass(2 * reportPause)
		if st := w.recorded(); st.AllocatedBytes != 10*mib {
			w.Errorf("the node's record tells of %+v", st)
		}
		w.restart()
		w.wantUsable()
		if again, err := pool.ReadMarker(w.in()); err != nil || again != m {
			w.Errorf("marker %+v became %+v, %v", m, again, err)
		}
	})
}

// TestRefusedPool is attached once what kept it from being used is mended.
func TestRefusedPool(t *testing.T) {
	inWorld(t, func(w *world) {
		w.mkdir("volumes", "x")
		w.write("volumes", "x")
		w.start()
		w.wantUnusable("PoolRefused", pool.MarkerName)
		w.wantPhase(w.create("a", mib), state.Failed, state.NotReady)
		_, err := w.agent.Open(w.get("a"))
		w.wantReason(state.NotReady, err)
		if len(w.agent.PoolPaths()) > 0 {
			w.Errorf("paths %v", w.agent.PoolPaths())
		}
		w.delete("a")
		w.wantGone("a") // what failed can be deleted without the pool
		w.pass(3 * inspectEvery)
		w.wantUnusable("PoolRefused", pool.MarkerName)
		w.wantData("volumes", "x")

		w.must(os.RemoveAll(w.in("volumes", "x")))
		w.pass(inspectEvery)
		w.wantUsable()
		if !slices.Equal(w.publishes.pools, []string{"default"}) {
			w.Errorf("publishes were told of the pools %v", w.publishes.pools)
		}
		w.wantPhase(w.create("a", mib), state.Ready, "")
	})
}

func TestPoolOfAnotherStore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.must(pool.Prepare(w.in(), "store-2"))
		w.mkdir("volumes", "x")
		w.mkdir(".tmp", "x")
		w.start()
		w.wantUnusable("PoolRefused", "store-2")
		if got := w.names(".tmp"); len(got) != 1 {
			w.Errorf("another store's pool was swept: .tmp holds %v", got)
		}
		w.must(pool.Rebind(w.in(), "store-1"))
		w.pass(inspectEvery)
		w.wantUsable()
	})
}

// TestUnmountedPoolIsNotMadeAnew: a known pool without its marker is one whose disk
// is not mounted.
func TestUnmountedPoolIsNotMadeAnew(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.stop()
		w.must(os.Rename(w.in(), w.in()+".away"))
		w.start()
		w.wantUnusable("PoolRefused", "mount the disk")
		if _, err := os.Lstat(w.in()); !os.IsNotExist(err) {
			w.Errorf("the pool's directory was made anew (%v)", err)
		}
		v := w.get("a")
		if len(v.Status.Health) > 0 || v.Status.Phase != state.Ready {
			w.Errorf("a volume of a pool that is not mounted: %+v", v.Status)
		}
		w.delete("a")
		w.wantPhase(w.get("a"), state.Ready, state.NotReady)

		// Another pool in its place is not it.
		w.must(pool.Prepare(w.in(), "store-1"))
		w.pass(inspectEvery)
		w.wantUnusable("PoolRefused", "mount the right disk")
		w.must(os.RemoveAll(w.in()))

		w.must(w.volumes.Keep(w.Context(), "a", v.UID))
		w.must(os.Rename(w.in()+".away", w.in()))
		w.pass(inspectEvery)
		w.wantUsable()
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantAllocated(mib)
	})
}

// TestPoolGoneAndBack takes a pool away under a running agent.
func TestPoolGoneAndBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		v := w.create("a", 10*mib)
		w.write("volumes", "a")
		w.must(os.Rename(w.in(), w.in()+".away"))
		w.pass(inspectEvery)
		w.wantUnusable("PoolGone", pool.MarkerName)

		w.wantPhase(w.create("b", mib), state.Failed, state.NotReady)
		w.delete("b")
		w.wantGone("b")
		resized := w.resize("a", 20*mib)
		w.wantPhase(resized, state.Ready, state.NotReady)
		if resized.Status.CapacityBytes != 10*mib {
			w.Errorf("status %+v", resized.Status)
		}
		w.resize("a", 10*mib)
		w.delete("a")
		w.wantPhase(w.get("a"), state.Ready, state.NotReady)
		_, err := w.agent.Open(v)
		w.wantReason(state.NotReady, err)
		_, err = w.agent.Usage(w.Context(), v)
		w.wantReason(state.NotReady, err)
		w.must(w.volumes.Keep(w.Context(), "a", v.UID))
		w.settle()

		w.must(os.Rename(w.in()+".away", w.in()))
		w.pass(inspectEvery)
		w.wantUsable()
		w.wantData("volumes", "a")
		w.wantAllocated(10 * mib)
		w.wantPhase(w.resize("a", 15*mib), state.Ready, "")
		w.wantPhase(w.create("b", mib), state.Ready, "")
		w.delete("a")
		w.wantGone("a")
		w.wantDisk("b")
	})
}

func TestTwoPools(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Pools = append(w.o.Pools, PoolOptions{Name: "fast", Path: w.at + "/fast"})
		w.start()
		s := spec("a", 10*mib)
		s.Pool = "fast"
		_, err := w.volumes.Create(w.Context(), "a", s)
		w.must(err)
		w.create("b", 20*mib)
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantDisk("b")
		if _, err := os.Lstat(w.at + "/fast/volumes/a"); err != nil {
			w.Error(err)
		}
		all := w.agent.Pools(w.Context())
		if len(all) != 2 || all[0].Name != "default" || all[1].Name != "fast" || all[0].AllocatedBytes != 20*mib || all[1].AllocatedBytes != 10*mib {
			w.Errorf("pools %+v", all)
		}
	})
}

func TestMetrics(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Pools = append(w.o.Pools, PoolOptions{Name: "broken", Path: "/proc/nosuch"})
		w.start()
		w.mkdir("volumes", "x")
		w.create("a", 10*mib)
		w.create("b", 20*mib)
		w.delete("a")
		snap := w.snap("s", w.get("b"))
		registry := prometheus.NewPedanticRegistry()
		for _, c := range w.agent.Collectors() {
			w.must(registry.Register(c))
		}
		families, err := registry.Gather()
		w.must(err)
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		for name, want := range map[string]float64{
			"hostpath_csi_pool_usable default": 1, "hostpath_csi_pool_usable broken": 0,
			"hostpath_csi_pool_size_bytes default": diskBytes, "hostpath_csi_pool_allocated_bytes default": float64(20*mib + snap.Status.UsedBytes),
			"hostpath_csi_pool_snapshots default": 1, "hostpath_csi_copies": 0,
			"hostpath_csi_pool_volumes default": 1, "hostpath_csi_trash_entries default": 0,
			"hostpath_csi_trash_removed_inodes_total default": 1, "hostpath_csi_reconciling_volumes": 0,
			"hostpath_csi_volumes Ready default": 1, "hostpath_csi_volumes Pending default": 0, "hostpath_csi_volume_bytes Ready default": 20 * mib,
			"hostpath_csi_reconcile_lag_seconds": 0,
		} {
			if v, ok := got[name]; !ok || v != want {
				w.Errorf("%s is %v (there: %v), want %v", name, v, ok, want)
			}
		}
	})
}
