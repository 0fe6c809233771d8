package driver

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// CreateSnapshot declares a snapshot and answers once the node's agent has taken it, or
// has been copying for a while: then it is not ready to use yet, and the CO asks again.
func (c *controller) CreateSnapshot(ctx context.Context, req *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	if c.snapshots == nil {
		return c.UnimplementedControllerServer.CreateSnapshot(ctx, req)
	}
	if err := checkName("name", req.GetName()); err != nil {
		return nil, err
	}
	if err := checkID("source_volume_id", req.GetSourceVolumeId()); err != nil {
		return nil, err
	}
	if err := config.CheckSnapshotParameters(req.GetParameters()); err != nil {
		return nil, err
	}
	id := state.VolumeID(req.GetName())
	end, err := c.snapshotsInFlight.begin(id, "snapshot "+id)
	if err != nil {
		return nil, err
	}
	defer end()
	s, err := c.findOrDeclareSnapshot(ctx, id, req.GetName(), req.GetSourceVolumeId())
	if err != nil {
		return nil, ofExisting(err)
	}
	s, err = state.Await(ctx, c.snapshots, id, func(s state.Snapshot) (bool, error) {
		switch s.Status.Phase {
		case state.Ready, state.Copying, state.Failed:
			return true, nil
		}
		return false, c.nodeReachable(s.Spec.Node)
	})
	if state.ReasonOf(err) == state.NotFound {
		err = state.Errorf(state.Unavailable, "its record was removed meanwhile: ask again")
	}
	if err != nil {
		return nil, fmt.Errorf("taking snapshot %s: %w", id, err)
	}
	if s.Status.Phase == state.Failed {
		// What failed leaves nothing, its record included.
		if err := c.clearSnapshot(ctx, s); err != nil {
			return nil, err
		}
		return nil, ofExisting(state.Errorf(s.Status.Reason, "taking snapshot %s: %s", id, s.Status.Message))
	}
	return &csi.CreateSnapshotResponse{Snapshot: snapshotToCSI(s)}, nil
}

// findOrDeclareSnapshot returns the record of the snapshot: the one that is there, if it
// is of that volume, or a new one. One that is there needs its volume no more.
func (c *controller) findOrDeclareSnapshot(ctx context.Context, id, name, volume string) (state.Snapshot, error) {
	look := c.snapshots.Known // see findOrDeclare
	for attempt := 1; ; attempt, look = attempt+1, c.snapshots.Get {
		s, err := look(ctx, id)
		if state.ReasonOf(err) == state.NotFound {
			spec, err := c.specifySnapshot(ctx, name, volume)
			if err != nil && attempt == 1 {
				continue // there may be one, which needs its volume no more
			}
			if err != nil {
				return s, err
			}
			s, err = c.snapshots.Create(ctx, id, spec)
			if state.ReasonOf(err) == state.AlreadyExists {
				continue // somebody was faster; see whether it is what we want
			}
			return s, err
		}
		switch {
		case err != nil:
			return s, err
		case s.DeletedAt != nil:
			// It is on its way out; the name is free once it is gone.
			if err = c.nodeReachable(s.Spec.Node); err == nil {
				err = state.AwaitGone(ctx, c.snapshots, s.ID, s.UID, state.RefusedSnapshot)
			}
		case s.Status.Phase == state.Failed:
			err = c.clearSnapshot(ctx, s)
		case s.Spec.Name != name || s.Spec.Volume != volume:
			return s, state.Errorf(state.AlreadyExists, "snapshot %s exists: it is %s of volume %s, asked for is %s of %s",
				id, state.Quote(s.Spec.Name), s.Spec.Volume, state.Quote(name), state.Quote(volume))
		default:
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("waiting for the end of an earlier snapshot %s: %w", s.ID, err)
		}
	}
}

// specifySnapshot is what is declared of a new snapshot of a volume.
func (c *controller) specifySnapshot(ctx context.Context, name, volume string) (spec state.SnapshotSpec, err error) {
	v, err := c.get(ctx, volume)
	if err != nil {
		return spec, fmt.Errorf("source_volume_id: %w", err)
	}
	return state.SnapshotSpec{Name: name, Volume: v.ID, VolumeUID: v.UID,
		Node: v.Spec.Node, Pool: v.Spec.Pool, AccessType: v.Spec.AccessType}, c.reachable(v)
}

// DeleteSnapshot asks for the snapshot's end, as DeleteVolume does for a volume's. What
// was restored from it stays; while something is being restored from it, it does, too.
func (c *controller) DeleteSnapshot(ctx context.Context, req *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if c.snapshots == nil {
		return c.UnimplementedControllerServer.DeleteSnapshot(ctx, req)
	}
	id := req.GetSnapshotId()
	if err := checkID("snapshot_id", id); err != nil {
		return nil, err
	}
	end, err := c.snapshotsInFlight.begin(id, "snapshot "+state.Quote(id))
	if err != nil {
		return nil, err
	}
	defer end()
	s, err := c.snapshots.Get(ctx, id)
	if err == nil {
		err = c.clearSnapshot(ctx, s)
	}
	if err != nil && state.ReasonOf(err) != state.NotFound {
		return nil, ofExisting(err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

// clearSnapshot has a snapshot removed, as clear does a volume.
func (c *controller) clearSnapshot(ctx context.Context, s state.Snapshot) error {
	return clearRecord(ctx, c.snapshots, s, "snapshot "+s.ID, func() error { return c.nodeReachable(s.Spec.Node) },
		func(s state.Snapshot) (state.Phase, error) { return s.Status.Phase, state.RefusedSnapshot(s) })
}
