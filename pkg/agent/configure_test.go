package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// configure has the agent have these pools.
func (w *world) configure(pools ...PoolOptions) {
	w.Helper()
	w.agent.Configure(w.Context(), pools)
	w.settle()
}

func (w *world) poolAt(name, dir string) PoolOptions {
	return PoolOptions{Name: name, Path: filepath.Join(w.at, dir)}
}

func (w *world) statusOf(name string) (state.PoolStatus, bool) {
	w.pass(2 * reportPause)
	n, err := w.nodes.Get(w.Context(), "node-1")
	w.must(err)
	return n.Status.Pool(name)
}

func (w *world) createIn(pool, id string, bytes int64) state.Volume {
	w.Helper()
	s := spec(id, bytes)
	s.Pool = pool
	_, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	w.settle()
	return w.get(id)
}

func TestANewPoolAppearsWhileTheAgentWorks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.wantPhase(w.createIn("second", "early", mib), state.Failed, state.NotReady)
		w.configure(w.poolAt("default", "pool"), w.poolAt("second", "second"))
		w.wantPhase(w.createIn("second", "a", mib), state.Ready, "")
		if st, ok := w.statusOf("second"); !ok || !st.Usable() || st.AllocatedBytes != mib {
			t.Errorf("%+v, %v", st, ok)
		}
		w.delete("a")
		w.pass(inspectEvery)
		if left, err := os.ReadDir(filepath.Join(w.at, "second", ".trash")); err != nil || len(left) > 0 {
			t.Errorf("the new pool's trash holds %v, %v", left, err)
		}
	})
}

func TestLimitsOfAPoolChangeAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		o := w.poolAt("default", "pool")
		o.ReservePercent, o.ReserveBytes, o.Labels = 50, diskBytes/4, map[string]string{"tier": "fast"}
		w.configure(o)
		st, _ := w.statusOf("default")
		if st.ReservedBytes != diskBytes/4*3 || st.AvailableBytes > diskBytes/4 || st.Labels["tier"] != "fast" {
			t.Errorf("%+v", st)
		}
		w.wantPhase(w.create("a", diskBytes/2), state.Failed, state.NoSpace)
		w.configure(w.poolAt("default", "pool"))
		w.wantPhase(w.create("b", diskBytes/2), state.Ready, "")
	})
}

func TestACordonedPoolTakesNoNewVolumesAndServesThoseItHas(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		o := w.poolAt("default", "pool")
		o.Cordoned = true
		w.configure(o)
		w.wantPhase(w.create("b", mib), state.Failed, state.NoSpace)
		if st, _ := w.statusOf("default"); !st.Usable() || !strings.Contains(st.Cordoned, "cordoned") {
			t.Errorf("%+v", st)
		}
		w.wantPhase(w.resize("a", 2*mib), state.Ready, "")
		w.configure(w.poolAt("default", "pool"))
		w.wantPhase(w.create("c", mib), state.Ready, "")
		if st, _ := w.statusOf("default"); st.Cordoned != "" {
			t.Errorf("%+v", st)
		}
	})
}

func TestAPoolThatIsNotWantedGoesOnceItIsEmpty(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.configure(w.poolAt("second", "second"))
		w.wantPhase(w.create("b", mib), state.Failed, state.NoSpace)
		w.delete("b")
		if st, ok := w.statusOf("default"); !ok || !st.Usable() || !strings.Contains(st.Cordoned, "not in the configuration") {
			t.Errorf("%+v, %v", st, ok)
		}
		w.wantPhase(w.get("a"), state.Ready, "")
		w.wantDisk("a")

		w.delete("a")
		w.pass(2 * inspectEvery)
		if st, ok := w.statusOf("default"); ok {
			t.Errorf("the pool is still there: %+v", st)
		}
		n, err := w.nodes.Get(w.Context(), "node-1")
		w.must(err)
		if _, known := n.Spec.Pools["default"]; known || len(n.Spec.Pools) != 1 {
			t.Errorf("the node's record has the pools %v", n.Spec.Pools)
		}
		w.wantPhase(w.create("c", mib), state.Failed, state.NotReady)
		w.delete("c")

		w.configure(w.poolAt("second", "second"), w.poolAt("default", "pool")) // and can be had again
		w.wantPhase(w.create("d", mib), state.Ready, "")
	})
}

func TestAPoolIsMovedOnceItIsEmpty(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.configure(w.poolAt("default", "moved"))
		if st, _ := w.statusOf("default"); st.Path != w.in() || !strings.Contains(st.Cordoned, filepath.Join(w.at, "moved")) {
			t.Errorf("%+v", st)
		}
		w.delete("a")
		w.pass(3 * inspectEvery)
		if st, _ := w.statusOf("default"); st.Path != filepath.Join(w.at, "moved") || !st.Usable() || st.Cordoned != "" {
			t.Errorf("%+v", st)
		}
		w.wantPhase(w.create("b", mib), state.Ready, "")
	})
}

func TestAPoolThatHasVolumesKeepsItsName(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		renamed := w.poolAt("fast", "pool")
		w.configure(renamed)
		refused := func(when string) {
			w.Helper()
			st, ok := w.statusOf("fast")
			if !ok || st.Usable() || !strings.Contains(st.Health[0].Message, w.in()+" is pool default (") {
				w.Errorf("%s, the new name is told as %+v, %v", when, st, ok)
			}
			w.wantPhase(w.createIn("fast", "b", mib), state.Failed, state.NotReady)
			w.delete("b")
			w.wantPhase(w.get("a"), state.Ready, "")
			w.wantDisk("a")
		}
		refused("while the agent works")
		w.stop()
		w.o.Pools = []PoolOptions{renamed}
		w.start()
		refused("after a restart")

		w.configure(w.poolAt("default", "pool"), renamed)
		w.delete("a")
		w.configure(renamed)
		w.pass(3 * inspectEvery)
		w.wantPhase(w.createIn("fast", "c", mib), state.Ready, "")
		n, err := w.nodes.Get(w.Context(), "node-1")
		w.must(err)
		if len(n.Spec.Pools) != 1 || n.Spec.Pools["fast"] == "" {
			w.Errorf("the node's record has the pools %v", n.Spec.Pools)
		}
	})
}

func TestAnEmptyPoolIsRenamedWhileTheAgentIsAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.stop()
		w.o.Pools = []PoolOptions{w.poolAt("fast", "pool")}
		w.start()
		w.wantPhase(w.createIn("fast", "a", mib), state.Ready, "")
	})
}

func TestAPoolThatRequiresAMountPoint(t *testing.T) {
	inWorld(t, func(w *world) {
		w.o.Pools[0].RequireMountPoint = true
		w.start()
		w.wantUnusable("PoolRefused", "nothing is mounted at")
		if _, err := os.Stat(w.in()); err == nil {
			t.Error("the pool was made nevertheless")
		}
	})
}

// TestPoolsComeAndGoAmongCreations wants every creation to end as Ready or Failed,
// and what is Ready to be there.
func TestPoolsComeAndGoAmongCreations(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		const rounds, each = 20, 10
		var creators sync.WaitGroup
		for i := range each {
			creators.Go(func() {
				for round := range rounds {
					s := spec(fmt.Sprintf("v-%d-%d", i, round), mib)
					s.Pool = "second"
					if _, err := w.volumes.Create(w.Context(), s.Name, s); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for round := range rounds {
			pools := []PoolOptions{w.poolAt("default", "pool")}
			if round%2 == 0 {
				pools = append(pools, w.poolAt("second", "second"))
			}
			w.agent.Configure(w.Context(), pools)
		}
		creators.Wait()
		w.configure(w.poolAt("default", "pool"), w.poolAt("second", "second"))
		ready := 0
		for i := range each {
			for round := range rounds {
				v := w.get(fmt.Sprintf("v-%d-%d", i, round))
				switch _, err := os.Stat(filepath.Join(w.at, "second", "volumes", v.ID)); {
				case v.Status.Phase == state.Ready && err == nil:
					ready++
				case v.Status.Phase == state.Failed && err != nil:
				default:
					t.Errorf("%s is %q, its directory: %v", v.ID, v.Status.Phase, err)
				}
			}
		}
		if st, _ := w.statusOf("second"); st.AllocatedBytes != int64(ready)*mib {
			t.Errorf("%d volumes are ready, %d bytes allocated", ready, st.AllocatedBytes)
		}
	})
}
