package agent

import (
	"os"
	"slices"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// declareClaimed asks for a volume that is named after its claim.
func (w *world) declareClaimed(id string) state.Volume {
	w.Helper()
	s := spec(id, 10*mib)
	s.Path = "shop/" + state.PlaceName("data", id)
	v, err := w.volumes.Create(w.Context(), id, s)
	w.must(err)
	return v
}

func TestAVolumeNamedAfterItsClaimIsFoundAgainAndRemoved(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.declareClaimed("a")
		w.declareClaimed("b")
		w.settle()
		for _, id := range []string{"a", "b"} {
			v := w.get(id)
			w.wantPhase(v, state.Ready, "")
			if v.Status.Path != "claims/shop/data="+id {
				t.Errorf("it is at %q", v.Status.Path)
			}
			w.write("claims/shop", "data="+id)
		}
		w.wantAllocated(20 * mib)
		w.restart()
		if st := w.status(); st.Orphans != 0 || st.AllocatedBytes != 20*mib {
			t.Errorf("after a restart the pool is %+v", st)
		}
		w.wantData("claims/shop/data=a")
		w.delete("a")
		w.wantData("claims/shop/data=b")
		w.delete("b")
		w.wantDisk()
		if got := w.names("claims"); len(got) > 0 {
			t.Errorf("claims/ holds %q", got)
		}
		w.wantAllocated(0)
	})
}

func TestAClaimsVolumeThatIsGoneIsLostAndItsWayPruned(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.declareClaimed("a")
		w.settle()
		w.mkdir("claims/team/stray=x") // of no record
		w.mkdir("claims/empty/too")
		w.stop()
		w.must(os.RemoveAll(w.in("claims/shop/data=a")))
		w.start()
		if h := w.get("a").Status.Health; len(h) != 1 || h[0].Type != state.DataLoss {
			t.Errorf("its health is %+v", h)
		}
		if got := w.names("claims"); !slices.Equal(got, []string{"team"}) {
			t.Errorf("claims/ holds %q", got)
		}
		if got := w.pool().orphans; !slices.Equal(got, []string{"claims/team/stray=x"}) {
			t.Errorf("orphans are %q", got)
		}
		w.mkdir("claims/shop/data=a")
		w.restart()
		if h := w.get("a").Status.Health; len(h) > 0 {
			t.Errorf("back, its health is %+v", h)
		}
	})
}

func TestACreationThatWasNotAnsweredLeavesNothingOnTheWay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.stop()
		w.mkdir("claims/shop")
		w.declareClaimed("a")
		w.attach() // later than the record
		w.start()
		if got := w.names("claims"); len(got) > 0 {
			t.Errorf("claims/ holds %q", got)
		}
		w.wantDisk()
	})
}

func TestRecoverFindsVolumesThatAreNamedAfterTheirClaims(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.declareClaimed("a")
		w.settle()
		w.write("claims/shop", "data=a")
		w.stop()
		w.mkdir("claims/shop/moved")
		w.must(os.Rename(w.in("claims/shop/data=a"), w.in("claims/shop/data=b")))
		w.volumes, w.nodes = newRecords[state.VolumeSpec, state.VolumeStatus](), newRecords[state.NodeSpec, state.NodeStatus]()
		w.o.Volumes, w.o.Nodes = w.volumes, w.nodes
		recover := func() map[string]Outcome {
			found, err := Recover(w.Context(), RecoverOptions{Pools: w.o.Pools, Volumes: w.volumes, Snapshots: w.snapshots, Nodes: w.nodes, Store: "store-1"})
			w.must(err)
			outcomes := map[string]Outcome{}
			for _, f := range found {
				outcomes[f.Path] = f.Outcome
			}
			return outcomes
		}
		if got := recover(); len(got) != 1 || got["claims/shop/data=b"] != Orphan {
			t.Errorf("at another's place it found %v", got)
		}
		w.must(os.Rename(w.in("claims/shop/data=b"), w.in("claims/shop/data=a")))
		if got := recover(); len(got) != 1 || got["claims/shop/data=a"] != Recorded {
			t.Errorf("it found %v", got)
		}
		w.start()
		v := w.get("a")
		w.wantPhase(v, state.Ready, "")
		if v.Spec.Path != "shop/data=a" || v.Status.Path != "claims/shop/data=a" || w.status().Orphans != 0 {
			t.Errorf("it is %+v", v)
		}
		w.wantData("claims/shop/data=a")
	})
}
