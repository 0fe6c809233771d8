package driver

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// An ephemeral volume is asked for by a pod itself ("csi:" among its volumes): nobody
// calls CreateVolume for it, nor DeleteVolume. It is made when it is published and
// removed when it is unpublished, and in between it is a volume as all others are; the
// node service has the controller's part for it. What is durable, and where a crash is
// mended:
//
//	publish    create, as package backend tells       undone at the start, or by the retry
//	           mount                                   by the retry; by unpublish
//	unpublish  unmount                                 by the retry
//	           delete, as package backend tells        by the retry; see endAbandoned
//
// The kubelet retries both until they succeed, after its own restart, too. A volume that
// it has forgotten is found by endAbandoned.

// ephemeralForm is what the kubelet gives to an ephemeral volume as volume_id: a hash
// of the pod's UID and of the volume's name there. No other volume has such an ID.
var ephemeralForm = regexp.MustCompile(`^csi-[0-9a-f]{64}$`)

// recordID returns the ID of the record for a volume_id.
func recordID(volumeID string) string {
	if ephemeralForm.MatchString(volumeID) {
		return state.EphemeralID(volumeID)
	}
	return volumeID
}

// makeEphemeral makes the volume that a pod asks for, unless it is there.
func (n *node) makeEphemeral(ctx context.Context, req *csi.NodePublishVolumeRequest, wants access) error {
	if n.ephemeral == nil {
		return state.Errorf(state.Invalid, "volume_context: this driver makes no ephemeral volumes")
	}
	if !ephemeralForm.MatchString(req.GetVolumeId()) {
		return state.Errorf(state.Invalid, "volume_id is %s; an ephemeral volume has one of the form csi-HASH, with 64 hexadecimal digits", state.Quote(req.GetVolumeId()))
	}
	if wants.kind != state.MountAccess {
		return state.Errorf(state.Invalid, "volume_capability asks for %s access; an ephemeral volume is for %s access", wants.kind, state.MountAccess)
	}
	if err := mount.ValidTarget(req.GetTargetPath()); err != nil {
		return err
	}
	a, err := config.ParseAttributes(req.GetVolumeContext(), n.ephemeral.parameterDefaults())
	if err != nil {
		return err
	}
	if err := n.hasPool(ctx, a.Pool); err != nil {
		return err
	}
	_, err = n.ephemeral.make(ctx, wanted{
		id: recordID(req.GetVolumeId()), name: req.GetVolumeId(), size: size{least: a.SizeBytes, most: a.SizeBytes},
		kind: state.MountAccess, access: []access{wants}, parameters: a.Parameters,
		topology:  requirement{only: nodeSet{n.id: {}}},
		ephemeral: &state.Ephemeral{Pod: a.Pod, Target: req.GetTargetPath()},
	})
	if err != nil {
		return err
	}
	crash.Step(crash.EphemeralMade)
	return nil
}

// hasPool returns nil if the node has a pool of that name; "" is any.
func (n *node) hasPool(ctx context.Context, name string) error {
	pools := n.disk.Pools(ctx)
	var names []string
	for _, p := range pools {
		names = append(names, p.Name)
	}
	if name == "" || slices.Contains(names, name) {
		return nil
	}
	return state.Errorf(state.NotReady, "volume_context: pool is %s; node %s has %s", state.Quote(name), n.id, strings.Join(names, ", "))
}

// removeEphemeral removes an ephemeral volume that is not published any more.
func (n *node) removeEphemeral(ctx context.Context, id string) error {
	crash.Step(crash.EphemeralUnpublished)
	v, err := n.ephemeral.volumes.Get(ctx, id)
	if state.ReasonOf(err) == state.NotFound {
		return nil
	}
	if err == nil {
		err = n.ephemeral.clear(ctx, v)
	}
	if err != nil && state.ReasonOf(err) != state.NotFound {
		return fmt.Errorf("removing ephemeral volume %s: %w", id, ofExisting(err))
	}
	return nil
}

// podOf names a pod in messages.
func podOf(e *state.Ephemeral) string {
	if e == nil {
		return "none"
	}
	return state.Quote(e.Namespace + "/" + e.Name)
}
