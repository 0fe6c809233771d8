package driver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

// oneDirectory is a Disk on which every volume is the same directory.
type oneDirectory struct {
	Disk
	dir string
}

func (d oneDirectory) Open(state.Volume) (*os.File, error) { return os.Open(d.dir) }

func TestAVolumeThatIsToBeEmptiedIsNotPublished(t *testing.T) {
	store, err := pebble.Open(t.TempDir(), pebble.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Volumes().Create(t.Context(), "a", state.VolumeSpec{Node: "n1", AccessType: state.BlockAccess, EmptyFor: "claim-2"}); err != nil {
		t.Fatal(err)
	}
	publish := func(emptiedFor string) state.Reason {
		t.Helper()
		_, err := store.Volumes().UpdateStatus(t.Context(), "a", func(st *state.VolumeStatus) error {
			st.Phase, st.EmptiedFor = state.Ready, emptiedFor
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		n := &node{id: "n1", volumes: store.Volumes(), disk: oneDirectory{dir: t.TempDir()}, inFlight: newInFlight()}
		_, err = n.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{VolumeId: "a", TargetPath: filepath.Join(t.TempDir(), "target"),
			VolumeCapability: createOn().VolumeCapabilities[0]})
		return state.ReasonOf(err)
	}
	if got := publish("claim-1"); got != state.Busy {
		t.Errorf("before it is empty: reason %q, want %q", got, state.Busy)
	}
	if got := publish("claim-2"); got != state.Incompatible { // it is a block volume: what is looked at next
		t.Errorf("once it is empty: reason %q, want %q", got, state.Incompatible)
	}
}
