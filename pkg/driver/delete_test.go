package driver

import (
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestWhatStaysSinceItsDeletionWasRefusedIsServed: whoever asked for it was killed before it
// could take the deletion back.
func TestWhatStaysSinceItsDeletionWasRefusedIsServed(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	_, err = c.take("s", "a")
	c.must(err)
	c.refuseDeletions(state.Errorf(state.InUse, "it is in use"))
	c.must(c.store.Volumes().Delete(t.Context(), "a"))
	c.must(c.store.Snapshots().Delete(t.Context(), "s"))
	_, err = state.Await(t.Context(), c.store.Volumes(), "a", func(v state.Volume) (bool, error) { return state.Refused(v) != nil, nil })
	c.must(err)
	_, err = state.Await(t.Context(), c.store.Snapshots(), "s", func(s state.Snapshot) (bool, error) { return state.RefusedSnapshot(s) != nil, nil })
	c.must(err)

	_, err = c.ControllerGetVolume(t.Context(), &csi.ControllerGetVolumeRequest{VolumeId: "a"})
	c.must(err)
	_, err = c.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{SnapshotId: "s"})
	c.must(err)

	c.refuseDeletions(nil)
	_, err = c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
	c.must(err)
	_, err = c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: "a"})
	c.must(err)
	_, err = c.ControllerGetVolume(t.Context(), &csi.ControllerGetVolumeRequest{VolumeId: "a"})
	c.want(state.NotFound, err)
}
