package agent

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestEnforcement walks through what a pool can do and what it is to do.
func TestEnforcement(t *testing.T) {
	const remedy = "the filesystem tmpfs has no limits"
	for name, c := range map[string]struct {
		enforcement state.Enforcement
		limits      bool // the filesystem has them
		told        state.Enforcement
		unenforced  string
		cordoned    string
		volume      state.Reason // why a volume fails
		enforced    bool         // it is told to be limited
		quotaID     uint32
	}{
		"preferred, with limits":    {enforcement: state.EnforcementPreferred, limits: true, told: "preferred", enforced: true, quotaID: 1},
		"nothing said, with limits": {limits: true, told: "preferred", enforced: true, quotaID: 1},
		"required, with limits":     {enforcement: state.EnforcementRequired, limits: true, told: "required", enforced: true, quotaID: 1},
		"nothing said, no limits":   {told: "preferred", unenforced: remedy},
		"required, no limits":       {enforcement: state.EnforcementRequired, told: "required", unenforced: remedy, cordoned: remedy, volume: state.NoSpace},
		"none, no limits":           {enforcement: state.EnforcementNone, told: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.o.Pools[0].Enforcement = c.enforcement
				if c.limits {
					w.withIDs()
				}
				w.start()
				st := w.status()
				if st.Enforcement != c.told || !strings.Contains(st.Unenforced, c.unenforced) || (st.Unenforced == "") != (c.unenforced == "") ||
					!strings.Contains(st.Cordoned, c.cordoned) || (st.Cordoned == "") != (c.cordoned == "") {
					t.Errorf("the pool is told as %+v", st)
				}
				v := w.create("a", mib)
				if v.Status.Reason != c.volume || v.Status.Enforced != c.enforced || v.Status.QuotaID != c.quotaID || v.Status.Phase == state.Pending {
					t.Errorf("the volume is told as %+v", v.Status)
				}
			})
		})
	}
}

func TestEnforcementChangesWhileTheAgentWorks(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		o := w.o.Pools[0]
		o.Enforcement = state.EnforcementRequired
		w.agent.Configure(w.Context(), []PoolOptions{o})
		if v := w.create("b", mib); v.Status.Reason != state.NoSpace || !strings.Contains(v.Status.Message, "enforcement is required") {
			t.Errorf("the volume is told as %+v", v.Status)
		}
		if v := w.resize("a", 2*mib); v.Status.CapacityBytes != 2*mib { // it is there, and is served
			t.Errorf("the volume is told as %+v", v.Status)
		}
		o.Enforcement = state.EnforcementNone
		w.agent.Configure(w.Context(), []PoolOptions{o})
		if v := w.create("c", mib); v.Status.Phase != state.Ready {
			t.Errorf("the volume is told as %+v", v.Status)
		}
	})
}

// A pool that sets no limits is opened so.
func TestTheBackendIsToldOfTheOptions(t *testing.T) {
	inWorld(t, func(w *world) {
		var got PoolOptions
		w.o.open = func(o PoolOptions) (backend.Backend, error) {
			got = o
			return openBackend(o)
		}
		w.o.Pools[0].Enforcement, w.o.Pools[0].ProjectIDs.First, w.o.Pools[0].ProjectIDs.Last = state.EnforcementNone, 7, 9
		w.start()
		if got.Enforcement != state.EnforcementNone || got.ProjectIDs.First != 7 || got.ProjectIDs.Last != 9 {
			t.Errorf("the backend was opened with %+v", got)
		}
	})
}
