package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// snapshotToCSI tells a CO about a snapshot.
func snapshotToCSI(s state.Snapshot) *csi.Snapshot {
	told := &csi.Snapshot{SnapshotId: s.ID, SourceVolumeId: s.Spec.Volume, SizeBytes: s.Status.SizeBytes,
		ReadyToUse: s.Status.Phase == state.Ready && s.Status.ReadyToUse}
	if s.Status.CreationTime != nil {
		told.CreationTime = timestamppb.New(*s.Status.CreationTime)
	}
	return told
}

// isTaken tells whether a CO may know of the snapshot.
func isTaken(s state.Snapshot) bool {
	return (s.Status.Phase == state.Ready || s.Status.Phase == state.Copying) && !state.RemovableSnapshot(s)
}

// ListSnapshots returns the snapshots in the order of their IDs: all, those of a volume,
// or the one of an ID, in pages as ListVolumes has them.
func (c *controller) ListSnapshots(ctx context.Context, req *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	if c.snapshots == nil {
		return c.UnimplementedControllerServer.ListSnapshots(ctx, req)
	}
	resp := &csi.ListSnapshotsResponse{}
	take := func(s state.Snapshot) bool {
		if !isTaken(s) || req.GetSourceVolumeId() != "" && s.Spec.Volume != req.GetSourceVolumeId() {
			return false
		}
		resp.Entries = append(resp.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: snapshotToCSI(s)})
		return true
	}
	if id := req.GetSnapshotId(); id != "" {
		if _, err := parseToken(req.GetStartingToken()); err != nil {
			return nil, err
		}
		s, err := c.snapshots.Get(ctx, id)
		if err == nil {
			take(s)
		}
		if state.ReasonOf(err) == state.NotFound {
			err = nil
		}
		return resp, err
	}
	var err error
	resp.NextToken, err = eachOfPage(ctx, c.snapshots, req.GetMaxEntries(), req.GetStartingToken(), take)
	return resp, err
}

// GetSnapshot returns one snapshot.
func (c *controller) GetSnapshot(ctx context.Context, req *csi.GetSnapshotRequest) (*csi.GetSnapshotResponse, error) {
	if c.snapshots == nil {
		return c.UnimplementedControllerServer.GetSnapshot(ctx, req)
	}
	if err := checkID("snapshot_id", req.GetSnapshotId()); err != nil {
		return nil, err
	}
	s, err := c.getSnapshot(ctx, req.GetSnapshotId())
	if err != nil {
		return nil, err
	}
	return &csi.GetSnapshotResponse{Snapshot: snapshotToCSI(s)}, nil
}

// getSnapshot returns a snapshot that a CO may know of.
func (c *controller) getSnapshot(ctx context.Context, id string) (state.Snapshot, error) {
	s, err := c.snapshots.Get(ctx, id)
	if err == nil && !isTaken(s) || state.ReasonOf(err) == state.NotFound {
		return s, state.Errorf(state.NotFound, "there is no snapshot %s", state.Quote(id))
	}
	return s, err
}
