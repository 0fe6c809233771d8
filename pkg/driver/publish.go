package driver

import (
	"context"
	"fmt"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// NodePublishVolume mounts the volume at the target path. There is nothing to be
// written down: the kernel's list of mounts is the record (package mount).
func (n *node) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	id, target := recordID(req.GetVolumeId()), req.GetTargetPath()
	if err := checkID("volume_id", id); err != nil {
		return nil, err
	}
	if target == "" {
		return nil, state.Errorf(state.Invalid, "target_path is missing")
	}
	if req.GetVolumeCapability() == nil {
		return nil, state.Errorf(state.Invalid, "volume_capability is missing")
	}
	want, err := parseCapability(req.GetVolumeCapability())
	if err != nil {
		return nil, err
	}
	end, err := n.inFlight.begin(id+"\x00"+target, "volume "+state.Quote(id)+" at this target_path")
	if err != nil {
		return nil, err
	}
	defer end()
	if config.IsEphemeral(req.GetVolumeContext()) {
		if err := n.makeEphemeral(ctx, req, want); err != nil {
			return nil, err
		}
		want.exclusive = true // it is for that pod
	}
	v, dir, err := n.open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if state.Emptying(v) { // what is written now would go, too
		return nil, state.Errorf(state.Busy, "volume %s is being emptied of what its last claim left in it", id)
	}
	if want.kind != v.Spec.AccessType {
		return nil, state.Errorf(state.Incompatible, "volume %s is for %s access, not for %s", id, v.Spec.AccessType, want.kind)
	}
	want.options.ReadOnly = want.options.ReadOnly || want.readOnly || req.GetReadonly()
	if want.group != noGroup && !want.options.ReadOnly { // who only reads changes nothing
		if err := mount.SetGroup(ctx, dir, want.group); err != nil {
			return nil, fmt.Errorf("publishing volume %s: %w", id, err)
		}
	}
	if err := n.mounts.Publish(ctx, id, dir, target, want.options, want.exclusive); err != nil {
		return nil, fmt.Errorf("publishing volume %s: %w", id, err)
	}
	// A deletion that began after the directory was opened may have ended before it
	// was mounted; one that begins from here on sees the mount.
	if now, err := getReady(ctx, n.volumes, id); err != nil || now.UID != v.UID {
		if uerr := n.mounts.Unpublish(context.WithoutCancel(ctx), id, dir, target); uerr != nil {
			klog.ErrorS(uerr, "Unpublishing a volume that was deleted meanwhile failed", "volumeID", id, "target", target)
		}
		return nil, state.Errorf(state.NotFound, "volume %s was deleted meanwhile", id)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// NodeUnpublishVolume unmounts the volume from the target path, also if its record
// or directory is gone. An ephemeral volume ends with that.
func (n *node) NodeUnpublishVolume(ctx context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	id, target := recordID(req.GetVolumeId()), req.GetTargetPath()
	if err := checkID("volume_id", id); err != nil {
		return nil, err
	}
	if target == "" {
		return nil, state.Errorf(state.Invalid, "target_path is missing")
	}
	end, err := n.inFlight.begin(id+"\x00"+target, "volume "+state.Quote(id)+" at this target_path")
	if err != nil {
		return nil, err
	}
	defer end()
	var dir *os.File // nil if the volume is gone: the mount table knows it then
	if _, dir, err = n.open(ctx, id); err == nil {
		defer dir.Close()
	}
	if err := n.mounts.Unpublish(ctx, id, dir, target); err != nil {
		return nil, fmt.Errorf("unpublishing volume %s: %w", id, err)
	}
	if id != req.GetVolumeId() && n.ephemeral != nil {
		if err := n.removeEphemeral(ctx, id); err != nil {
			return nil, err
		}
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// open returns a volume of this node that is ready, and its directory.
func (n *node) open(ctx context.Context, id string) (state.Volume, *os.File, error) {
	v, err := getReady(ctx, n.volumes, id)
	if err != nil {
		return v, nil, err
	}
	if v.Spec.Node != n.id {
		return v, nil, state.Errorf(state.NotFound, "volume %s lies on node %s, not here on %s", id, v.Spec.Node, n.id)
	}
	dir, err := n.disk.Open(v)
	return v, dir, ofExisting(err)
}
