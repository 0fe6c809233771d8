package driver

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// wanted is a CreateVolumeRequest that was found to make sense.
type wanted struct {
	id         string
	name       string
	size       size
	kind       state.AccessType
	access     []access
	parameters config.Parameters
	path       string // see state.VolumeSpec
	adopt      string // see state.VolumeSpec
	source     *state.Source
	topology   requirement
	ephemeral  *state.Ephemeral // nil: it outlives pods
}

// sizeField names the field that whoever asks has put the size into.
func (want wanted) sizeField() string {
	if want.ephemeral != nil {
		return "volume_context: size"
	}
	return "capacity_range"
}

// CreateVolume declares a volume and answers once the node's agent has built it.
// A call that comes again finds the volume of its name, whatever became of the
// first: ready, being built, or failed and thus to be tried anew.
func (c *controller) CreateVolume(ctx context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	want, err := parseCreate(req, c.parameterDefaults())
	if err != nil {
		return nil, err
	}
	if want.adopt, err = c.adopted(ctx, want); err != nil {
		return nil, err
	}
	if want.source != nil && c.snapshots == nil {
		return nil, state.Errorf(state.Invalid, "volume_content_source: this driver makes no volumes from others")
	}
	if want.source, err = c.copied(ctx, want); err != nil {
		return nil, err
	}
	v, err := c.make(ctx, want)
	if err != nil {
		return nil, err
	}
	return &csi.CreateVolumeResponse{Volume: toCSI(v)}, nil
}

// make declares what is wanted and returns the volume once it is ready.
func (c *controller) make(ctx context.Context, want wanted) (v state.Volume, err error) {
	end, err := c.inFlight.begin(want.id, "volume "+want.id)
	if err != nil {
		return v, err
	}
	defer end()
	v, err = c.findOrDeclare(ctx, want)
	if err != nil {
		return v, err
	}
	v, err = state.Await(ctx, c.volumes, want.id, func(v state.Volume) (bool, error) {
		if v.Status.Phase == state.Ready || v.Status.Phase == state.Failed {
			return true, nil
		}
		// It stays declared for its node, which may be at work on it unheard.
		return false, c.reachable(v)
	})
	if state.ReasonOf(err) == state.NotFound {
		// Its node was taken out of the cluster before it was built.
		err = state.Errorf(state.Unavailable, "its record was removed meanwhile: ask again")
	}
	if err != nil {
		return v, fmt.Errorf("creating volume %s: %w", want.id, err)
	}
	if v.Status.Phase == state.Failed {
		// What failed leaves nothing, its record included.
		if err := c.clear(ctx, v); err != nil {
			return v, err
		}
		err := state.Errorf(v.Status.Reason, "creating volume %s: %s", want.id, v.Status.Message)
		if v.Spec.Source != nil {
			err = ofExisting(err) // no other node will do
		}
		return v, err
	}
	return v, nil
}

func parseCreate(req *csi.CreateVolumeRequest, defaults config.Parameters) (w wanted, err error) {
	if err = checkName("name", req.GetName()); err != nil {
		return w, err
	}
	w.name, w.id, w.topology = req.GetName(), state.VolumeID(req.GetName()), parseTopology(req.GetAccessibilityRequirements())
	if w.size, err = parseSize(req.GetCapacityRange()); err != nil {
		return w, err
	}
	if w.kind, w.access, err = parseCapabilities(req.GetVolumeCapabilities()); err != nil {
		// No volume of ours could ever have it: for CreateVolume that is an
		// argument to be mended.
		return w, state.Errorf(state.Invalid, "%w", err)
	}
	if w.parameters, err = config.ParseParameters(req.GetParameters(), defaults); err != nil {
		return w, err
	}
	if len(req.GetMutableParameters()) > 0 {
		return w, state.Errorf(state.Invalid, "mutable_parameters: this driver has none")
	}
	if w.path, err = pathOf(w); err != nil {
		return w, err
	}
	w.source, err = parseSource(req.GetVolumeContentSource(), w.parameters)
	return w, err
}

// maxAttempts bounds how often a record is looked for that is there and cannot be seen:
// a node plugin sees those of its own node only.
const maxAttempts = 10

// findOrDeclare returns the record for what is wanted: the one that is there, if
// it was asked for in the same words, or a new one. Most are new, so at first only what is known
// is looked at; why none can be made is told once it is certain that there is none.
func (c *controller) findOrDeclare(ctx context.Context, want wanted) (state.Volume, error) {
	look := c.volumes.Known
	for attempt := 1; ; attempt, look = attempt+1, c.volumes.Get {
		v, err := look(ctx, want.id)
		if state.ReasonOf(err) == state.NotFound {
			spec, err := c.specify(ctx, want)
			if err != nil && attempt == 1 {
				continue // there may be one, which has the room that is missing
			}
			if err != nil {
				return v, err
			}
			v, err = c.volumes.Create(ctx, want.id, spec)
			if state.ReasonOf(err) == state.AlreadyExists && attempt < maxAttempts {
				continue // somebody was faster; see whether it is what we want
			}
			return v, err
		}
		switch {
		case err != nil:
			return v, err
		case v.DeletedAt != nil:
			// It is on its way out; the name is free once it is gone.
			if err = c.reachable(v); err == nil {
				err = state.AwaitGone(ctx, c.volumes, v.ID, v.UID, state.Refused)
			}
		case v.Status.Phase == state.Failed:
			err = c.clear(ctx, v)
		default:
			return v, compatible(v, want)
		}
		if err != nil {
			return v, fmt.Errorf("waiting for the end of an earlier volume %s: %w", v.ID, err)
		}
	}
}

// specify chooses the place of a new volume. It does not promise the room there:
// that is for the agent, which alone knows it exactly.
func (c *controller) specify(ctx context.Context, want wanted) (state.VolumeSpec, error) {
	if want.source != nil && want.source.Kind != state.FromArchive { // of which the agent knows
		return c.specifyCopy(ctx, want)
	}
	bytes := want.size.choose()
	if want.kind == state.BlockAccess {
		var err error
		if bytes, err = want.size.inBlocks(); err != nil {
			return state.VolumeSpec{}, err
		}
	}
	where, narrowed := want.topology, false
	if c.firstOnly {
		where, narrowed = want.topology.narrowed()
	}
	places, err := c.places(ctx, want.parameters, where)
	if err != nil {
		return state.VolumeSpec{}, err
	}
	at, err := pick(places, bytes, want)
	if state.ReasonOf(err) == state.OutOfRange && narrowed {
		err = c.elsewhere(ctx, want, len(places), err)
	}
	if err != nil {
		return state.VolumeSpec{}, err
	}
	return want.specAt(at, bytes), nil
}

// elsewhere is what to answer if none of the places on the chosen node is large enough: one on
// another node may be, so that it is to be scheduled anew.
func (c *controller) elsewhere(ctx context.Context, want wanted, there int, why error) error {
	all, err := c.places(ctx, want.parameters, want.topology)
	switch {
	case err != nil:
		return err
	case there < len(all):
		return state.Errorf(state.NoSpace, "on the node that was chosen: %w", why)
	}
	return why
}

// pathOf is where the volume lies if its class names it after its claim.
func pathOf(w wanted) (string, error) {
	if w.parameters.PathTemplate == nil || w.kind != state.MountAccess {
		return "", nil
	}
	return w.parameters.PathTemplate.Path(w.id, w.parameters.Claim)
}

// specAt is what is declared once the place and the size are chosen.
func (want wanted) specAt(at place, bytes int64) state.VolumeSpec {
	p := want.parameters
	spec := state.VolumeSpec{Name: want.name, Node: at.node, Pool: at.pool.Name, CapacityBytes: bytes, AccessType: want.kind,
		Source: want.source, Mode: p.Mode, UserID: p.UserID, GroupID: p.GroupID, OnDelete: p.OnDelete, Path: want.path, Adopt: want.adopt, Claim: p.Claim, Ephemeral: want.ephemeral}
	if want.kind == state.BlockAccess {
		spec.Provisioning = p.Provisioning
	}
	return spec
}

// pick returns the first place that is usable, preferring those with room; one
// without room by the last report is left for the agent to refuse, which knows better.
func pick(places []place, bytes int64, want wanted) (place, error) {
	if len(places) == 0 {
		return place{}, state.Errorf(state.NotReady, "no node with pool %s satisfies accessibility_requirements", poolName(want.parameters))
	}
	var usable []place
	var why error
	largest := int64(0)
	for _, p := range places {
		largest = max(largest, p.pool.Usage.TotalBytes)
		if err := serves(p, want); err != nil {
			why = err
			continue
		}
		usable = append(usable, p)
	}
	if len(usable) == 0 {
		return place{}, why
	}
	for _, p := range usable {
		if p.pool.AvailableBytes >= bytes {
			return p, nil
		}
	}
	if bytes > largest {
		return place{}, state.Errorf(state.OutOfRange, "%s asks for %d bytes; the largest pool that may take the volume has %d", want.sizeField(), bytes, largest)
	}
	return usable[0], nil
}

func poolName(p config.Parameters) string {
	switch {
	case p.PoolSelector != nil:
		return "of the labels " + state.Quote(p.PoolSelector.String())
	case p.Pool == "":
		return "of any name"
	}
	return state.Quote(p.Pool)
}

// serves returns nil if the pool can be used, takes new volumes and can give what is
// wanted.
func serves(p place, want wanted) error {
	if p.away != nil {
		return state.Errorf(state.NotReady, "%w", p.away)
	}
	if !p.pool.Usable() {
		return state.Errorf(state.NotReady, "pool %s of node %s cannot be used: %s", p.pool.Name, p.node, p.pool.Health[0].Message)
	}
	if p.pool.Cordoned != "" {
		return state.Errorf(state.NoSpace, "pool %s of node %s takes no new volumes: %s", p.pool.Name, p.node, p.pool.Cordoned)
	}
	return fitsFilesystem(want.access, p.pool.Filesystem, p.pool.Name)
}

// fitsFilesystem refuses an fs_type other than what the pool has: a volume is a
// directory there, and not formatted.
func fitsFilesystem(all []access, filesystem, pool string) error {
	for _, a := range all {
		if a.fsType != "" && a.fsType != filesystem {
			return state.Errorf(state.Invalid, "volume_capability.mount.fs_type is %s; pool %s is %s: leave fs_type empty or give that", state.Quote(a.fsType), pool, filesystem)
		}
	}
	return nil
}

// compatible returns nil if the volume is what is wanted, and otherwise what differs.
// Defaults do not count: they may have changed since a first attempt. Nor does
// poolSelector, since the labels of pools may have.
func compatible(v state.Volume, want wanted) error {
	differs := func(field string, has, wants any) error {
		return state.Errorf(state.AlreadyExists, "volume %s exists with another %s: it has %v, asked for is %v", v.ID, field, has, wants)
	}
	p := want.parameters
	switch {
	case v.Spec.Name != want.name:
		return differs("name", state.Quote(v.Spec.Name), state.Quote(want.name))
	case (v.Spec.Ephemeral == nil) != (want.ephemeral == nil), want.ephemeral != nil && *v.Spec.Ephemeral != *want.ephemeral:
		return differs("pod", podOf(v.Spec.Ephemeral), podOf(want.ephemeral))
	case !want.size.holds(v.Spec.CapacityBytes):
		return differs(want.sizeField(), v.Spec.CapacityBytes, fmt.Sprintf("%d to %d", want.size.least, want.size.most))
	case v.Spec.AccessType != want.kind:
		return differs("access type", v.Spec.AccessType, want.kind)
	case !sameSource(v.Spec.Source, want.source):
		return differs("volume_content_source", named(v.Spec.Source), named(want.source))
	case want.adopt != "" && want.adopt != v.Spec.Adopt:
		return differs("origin", state.Quote(v.Spec.Adopt), state.Quote(want.adopt))
	case p.Given["pool"] && p.Pool != v.Spec.Pool:
		return differs("parameter pool", v.Spec.Pool, p.Pool)
	case p.Given["mode"] && p.Mode != v.Spec.Mode:
		return differs("parameter mode", fmt.Sprintf("%#o", v.Spec.Mode), fmt.Sprintf("%#o", p.Mode))
	case p.Given["uid"] && p.UserID != v.Spec.UserID:
		return differs("parameter uid", v.Spec.UserID, p.UserID)
	case p.Given["gid"] && p.GroupID != v.Spec.GroupID:
		return differs("parameter gid", v.Spec.GroupID, p.GroupID)
	case want.kind == state.BlockAccess && p.Given["provisioning"] && p.Provisioning != v.Spec.Provisioning:
		return differs("parameter provisioning", v.Spec.Provisioning, p.Provisioning)
	case p.Given["onDelete"] && p.OnDelete != v.Spec.OnDelete:
		return differs("parameter onDelete", v.Spec.OnDelete, p.OnDelete)
	case p.Given["pathTemplate"] && want.path != v.Spec.Path:
		return differs("parameter pathTemplate", state.Quote(v.Spec.Path), state.Quote(want.path))
	case !want.topology.only.has(v.Spec.Node):
		return differs("topology", v.Spec.Node, "a node that accessibility_requirements allow")
	}
	return nil
}

// toCSI tells a CO about a volume.
func toCSI(v state.Volume) *csi.Volume {
	return &csi.Volume{VolumeId: v.ID, CapacityBytes: v.Status.CapacityBytes, ContentSource: sourceToCSI(v.Spec.Source),
		AccessibleTopology: []*csi.Topology{topologyOf(v.Spec.Node)}}
}
