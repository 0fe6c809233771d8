package driver

import (
	"context"
	"errors"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

const gib = int64(1) << 30

// withAway makes a controller over a store with two nodes; "dead" has more room, and
// its agent is away.
func withAway(t *testing.T) *controller {
	t.Helper()
	store, err := pebble.Open(t.TempDir(), pebble.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for node, room := range map[string]int64{"dead": 100 * gib, "alive": 10 * gib} {
		if _, err := store.Nodes().Create(t.Context(), node, state.NodeSpec{}); err != nil {
			t.Fatal(err)
		}
		_, err := store.Nodes().UpdateStatus(t.Context(), node, func(st *state.NodeStatus) error {
			st.Pools = []state.PoolStatus{{Name: "default", Usage: state.Usage{TotalBytes: room}, AvailableBytes: room}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return newController(Options{Volumes: store.Volumes(), Nodes: store.Nodes(), Away: func(node string) error {
		if node == "dead" {
			return errors.New("the agent of node dead was not heard of for 40s")
		}
		return nil
	}})
}

func createOn(nodes ...string) *csi.CreateVolumeRequest {
	req := &csi.CreateVolumeRequest{Name: "pvc-1", CapacityRange: &csi.CapacityRange{RequiredBytes: gib},
		VolumeCapabilities: []*csi.VolumeCapability{{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}}}
	for _, n := range nodes {
		if req.AccessibilityRequirements == nil {
			req.AccessibilityRequirements = &csi.TopologyRequirement{}
		}
		req.AccessibilityRequirements.Requisite = append(req.AccessibilityRequirements.Requisite, topologyOf(n))
	}
	return req
}

func TestANewVolumeIsNotDeclaredForANodeWhoseAgentIsAway(t *testing.T) {
	c := withAway(t)
	if _, err := c.CreateVolume(t.Context(), createOn("dead")); state.ReasonOf(err) != state.NotReady {
		t.Errorf("on the dead node: %v", err)
	}
	if _, err := c.volumes.Get(t.Context(), "pvc-1"); state.ReasonOf(err) != state.NotFound {
		t.Errorf("a record is left: %v", err)
	}
	// No agent works here: nobody waits for one once the volume is declared.
	ctx, cancel := context.WithCancel(t.Context())
	changes := c.volumes.Watch(ctx)
	go func() {
		for range changes {
			cancel()
		}
	}()
	if _, err := c.CreateVolume(ctx, createOn()); !errors.Is(err, context.Canceled) {
		t.Errorf("anywhere: %v", err)
	}
	if v, err := c.volumes.Get(t.Context(), "pvc-1"); err != nil || v.Spec.Node != "alive" {
		t.Errorf("it was declared for node %q, %v", v.Spec.Node, err)
	}
	resp, err := c.GetCapacity(t.Context(), &csi.GetCapacityRequest{})
	if err != nil || resp.AvailableCapacity != 10*gib {
		t.Errorf("the capacity is %v, %v", resp.GetAvailableCapacity(), err)
	}
}

// TestWhatExistsOnANodeWhoseAgentIsAwayWaits: no other node can serve it.
func TestWhatExistsOnANodeWhoseAgentIsAwayWaits(t *testing.T) {
	c := withAway(t)
	declared, err := c.volumes.Create(t.Context(), "pvc-1", state.VolumeSpec{Name: "pvc-1", Node: "dead", Pool: "default",
		CapacityBytes: gib, AccessType: state.MountAccess, Mode: 0o777, OnDelete: state.OnDeleteRemove})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateVolume(t.Context(), createOn()); state.ReasonOf(err) != state.Unavailable {
		t.Errorf("creating it again: %v", err)
	}
	if v, err := c.volumes.Get(t.Context(), "pvc-1"); err != nil || v.UID != declared.UID || v.DeletedAt != nil {
		t.Errorf("the record is %+v, %v", v, err)
	}
	if _, err := c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: "pvc-1"}); state.ReasonOf(err) != state.Unavailable {
		t.Errorf("deleting it: %v", err)
	}
	if v, err := c.volumes.Get(t.Context(), "pvc-1"); err != nil || v.DeletedAt == nil {
		t.Errorf("its deletion is not noted down: %+v, %v", v, err)
	}
}
