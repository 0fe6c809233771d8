package driver

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// parseSource reads what a volume is to be a copy of; nil: of nothing. Owner and mode are
// those of the source, unless the class itself gives others.
func parseSource(s *csi.VolumeContentSource, p config.Parameters) (*state.Source, error) {
	source := &state.Source{SetMode: p.Given["mode"], SetOwner: p.Given["uid"] || p.Given["gid"]}
	field := ""
	switch {
	case s == nil:
		return nil, nil
	case s.GetSnapshot() != nil:
		source.Kind, source.ID, field = state.FromSnapshot, s.GetSnapshot().GetSnapshotId(), "volume_content_source.snapshot.snapshot_id"
	case s.GetVolume() != nil:
		source.Kind, source.ID, field = state.FromVolume, s.GetVolume().GetVolumeId(), "volume_content_source.volume.volume_id"
	default:
		return nil, state.Errorf(state.Invalid, "volume_content_source is of an unknown type; it takes snapshot or volume")
	}
	return source, checkID(field, source.ID)
}

// sourceToCSI tells a CO what a volume began as a copy of.
func sourceToCSI(s *state.Source) *csi.VolumeContentSource {
	switch {
	case s == nil, s.Kind == state.FromArchive: // of which CSI knows nothing
		return nil
	case s.Kind == state.FromSnapshot:
		return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: s.ID}}}
	}
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: s.ID}}}
}

// sameSource tells whether two volumes are copies of the same.
func sameSource(a, b *state.Source) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.ID == b.ID
}

// named is how a source is called in messages.
func named(s *state.Source) string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("%s %s", s.Kind, state.Quote(s.ID))
}

// origin is what matters of a source: where it lies, and what a copy of it must be.
type origin struct {
	node, pool string
	kind       state.AccessType
	bytes      int64
}

// originOf looks the source up. NotFound if a CO may not know of it.
func (c *controller) originOf(ctx context.Context, source *state.Source) (origin, error) {
	if source.Kind == state.FromVolume {
		v, err := c.get(ctx, source.ID)
		return origin{v.Spec.Node, v.Spec.Pool, v.Spec.AccessType, v.Status.CapacityBytes}, err
	}
	s, err := c.getSnapshot(ctx, source.ID)
	switch {
	case err != nil:
	case s.Status.Phase == state.Copying:
		err = state.Errorf(state.Unavailable, "snapshot %s is still being copied: ask again once it is ready to use", s.ID)
	case !s.Status.ReadyToUse:
		err = state.Errorf(s.Status.Reason, "snapshot %s: %s", s.ID, s.Status.Message)
	}
	return origin{s.Spec.Node, s.Spec.Pool, s.Spec.AccessType, s.Status.SizeBytes}, err
}

// specifyCopy is specify for a volume that begins as a copy, which lies beside its
// source: on the same node, in the same pool.
func (c *controller) specifyCopy(ctx context.Context, want wanted) (state.VolumeSpec, error) {
	from, err := c.originOf(ctx, want.source)
	if err != nil {
		return state.VolumeSpec{}, fmt.Errorf("volume_content_source: %w", err)
	}
	if from.kind != want.kind {
		return state.VolumeSpec{}, state.Errorf(state.Invalid, "volume_capabilities ask for %s access; %s is for %s access, and a copy of it, too",
			want.kind, named(want.source), from.kind)
	}
	bytes, err := want.size.ofCopy(from.bytes, want.kind)
	if err != nil {
		return state.VolumeSpec{}, fmt.Errorf("%s: %w", named(want.source), err)
	}
	at, err := c.placeOfCopy(ctx, want, from)
	if err != nil {
		return state.VolumeSpec{}, err
	}
	if at, err = pick([]place{at}, bytes, want); err != nil {
		return state.VolumeSpec{}, ofExisting(err)
	}
	return want.specAt(at, bytes), nil
}

// placeOfCopy returns the pool that a source lies in. NoSpace if the volume shall not be
// on that node, so that its pod is scheduled anew.
func (c *controller) placeOfCopy(ctx context.Context, want wanted, from origin) (place, error) {
	if !want.topology.only.has(from.node) {
		return place{}, state.Errorf(state.NoSpace, "%s lies on node %s, which accessibility_requirements do not allow; a copy of it can be nowhere else",
			named(want.source), from.node)
	}
	if err := c.nodeReachable(from.node); err != nil {
		return place{}, err
	}
	n, err := c.nodes.Get(ctx, from.node)
	if err != nil && state.ReasonOf(err) != state.NotFound {
		return place{}, err
	}
	pool, ok := n.Status.Pool(from.pool)
	if !ok {
		return place{}, state.Errorf(state.Unavailable, "%s lies in pool %s of node %s, which is not there now", named(want.source), from.pool, from.node)
	}
	p := want.parameters
	if p.Given["pool"] && p.Pool != from.pool || p.Given["poolSelector"] && !p.PoolSelector.Matches(labels.Set(pool.Labels)) {
		return place{}, state.Errorf(state.Invalid, "parameters ask for pool %s; %s lies in pool %s, and a copy of it, too", poolName(p), named(want.source), from.pool)
	}
	return place{node: from.node, pool: pool}, nil
}

// ofCopy is the size for a copy of something with so many bytes: at least those, and just
// those if no size was asked for.
func (s size) ofCopy(bytes int64, kind state.AccessType) (int64, error) {
	if s.least > 0 && s.least < bytes {
		return 0, state.Errorf(state.OutOfRange, "capacity_range.required_bytes is %d; the source has %d, and a copy of it no less", s.least, bytes)
	}
	if s.most > 0 && s.most < bytes {
		return 0, state.Errorf(state.OutOfRange, "capacity_range.limit_bytes is %d; the source has %d, and a copy of it no less", s.most, bytes)
	}
	s.least = max(s.least, bytes)
	if kind == state.BlockAccess {
		return s.inBlocks()
	}
	return s.choose(), nil
}
