package agent

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// An agent that starts has looked at the records before it works on them: what is declared, or
// to be deleted, in between is done, too.
func TestNothingIsMissedThatIsAskedForWhileAnAgentStarts(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		was := w.create("old", 1<<20)
		w.create("doomed", 1<<20)
		w.stop()
		w.attach()
		w.declare("new", 1<<20)
		w.declareSnapshot("snap", was)
		w.must(w.volumes.Delete(w.Context(), "doomed"))
		w.start()
		if v := w.get("new"); v.Status.Phase != state.Ready {
			w.Errorf("the volume is %+v", v.Status)
		}
		if s := w.getSnapshot("snap"); s.Status.Phase != state.Ready {
			w.Errorf("the snapshot is %+v", s.Status)
		}
		if _, err := w.volumes.Get(w.Context(), "doomed"); state.ReasonOf(err) != state.NotFound {
			w.Errorf("what is to be deleted is still there: %v", err)
		}
	})
}
