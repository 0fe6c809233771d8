package driver

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// maxEntries bounds a page, so that a response stays below the 4 MiB that gRPC
// clients take.
const maxEntries = 5000

// ListVolumes returns the volumes in the order of their IDs. A page's token names
// the ID it ended with, so volumes that come or go between two pages neither hide
// nor repeat another.
func (c *controller) ListVolumes(ctx context.Context, req *csi.ListVolumesRequest) (*csi.ListVolumesResponse, error) {
	resp := &csi.ListVolumesResponse{}
	var err error
	resp.NextToken, err = c.eachReady(ctx, req.GetMaxEntries(), req.GetStartingToken(), func(v state.Volume) bool {
		resp.Entries = append(resp.Entries, &csi.ListVolumesResponse_Entry{Volume: toCSI(v), Status: &csi.ListVolumesResponse_VolumeStatus{}})
		return true
	})
	return resp, err
}

// eachReady calls take for the volumes of a page that are ready, but for ephemeral ones:
// see eachOfPage.
func (c *controller) eachReady(ctx context.Context, limit int32, token string, take func(state.Volume) bool) (next string, err error) {
	return eachOfPage(ctx, c.volumes, limit, token, func(v state.Volume) bool { return isReady(v) && v.Spec.Ephemeral == nil && take(v) })
}

// eachOfPage calls take for the records of a page, until it has taken limit of them
// (0: as many as a page holds), and returns the next page's token.
func eachOfPage[S, U any](ctx context.Context, all state.Records[S, U], limit int32, token string, take func(state.Object[S, U]) bool) (next string, err error) {
	if limit < 0 {
		return "", state.Errorf(state.Invalid, "max_entries is %d; it takes 0 or more", limit)
	}
	after, err := parseToken(token)
	if err != nil {
		return "", err
	}
	room := maxEntries
	if limit > 0 {
		room = min(room, int(limit))
	}
	for {
		records, more, err := all.List(ctx, state.Page{After: after, Limit: room})
		if err != nil {
			return "", err
		}
		for _, obj := range records {
			after = obj.ID
			if take(obj) {
				room--
			}
		}
		if more == "" {
			return "", nil
		}
		if room == 0 {
			return formatToken(after), nil
		}
	}
}

func isReady(v state.Volume) bool { return v.Status.Phase == state.Ready && !state.Removable(v) }

// tokenPrefix tells this form of a token from later ones.
const tokenPrefix = "1:"

func formatToken(after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenPrefix + after))
}

func parseToken(token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	after, ok := strings.CutPrefix(string(b), tokenPrefix)
	if err != nil || !ok || !state.ValidID(after) || formatToken(after) != token { // the decoder overlooks line ends and last bits
		return "", state.Errorf(state.BadToken, "starting_token is %s, which this driver did not give out: list again from the start", state.Quote(token))
	}
	return after, nil
}

// ControllerGetVolume returns one volume.
func (c *controller) ControllerGetVolume(ctx context.Context, req *csi.ControllerGetVolumeRequest) (*csi.ControllerGetVolumeResponse, error) {
	if err := checkID("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	v, err := c.get(ctx, req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	return &csi.ControllerGetVolumeResponse{Volume: toCSI(v), Status: &csi.ControllerGetVolumeResponse_VolumeStatus{}}, nil
}

// ValidateVolumeCapabilities confirms what the volume can do; if it cannot do all,
// it says what not, and confirms nothing.
func (c *controller) ValidateVolumeCapabilities(ctx context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if err := checkID("volume_id", req.GetVolumeId()); err != nil {
		return nil, err
	}
	if len(req.GetVolumeCapabilities()) == 0 {
		return nil, state.Errorf(state.Invalid, "volume_capabilities is missing; it takes at least one")
	}
	v, err := c.get(ctx, req.GetVolumeId())
	if err != nil {
		return nil, err
	}
	for _, capability := range req.GetVolumeCapabilities() {
		if err := servesVolume(v, capability); err != nil {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
		VolumeContext: req.GetVolumeContext(), VolumeCapabilities: req.GetVolumeCapabilities(), Parameters: req.GetParameters(),
	}}, nil
}

// servesVolume returns nil if the volume has the capability.
func servesVolume(v state.Volume, capability *csi.VolumeCapability) error {
	a, err := parseCapability(capability)
	if err != nil {
		return err
	}
	if a.kind != v.Spec.AccessType {
		return state.Errorf(state.Incompatible, "volume %s is for %s access, not for %s", v.ID, v.Spec.AccessType, a.kind)
	}
	return nil
}

// get returns a volume that a CO may know of: one that is ready, and not its pod's alone.
func (c *controller) get(ctx context.Context, id string) (state.Volume, error) {
	v, err := getReady(ctx, c.volumes, id)
	if err == nil && v.Spec.Ephemeral != nil {
		return state.Volume{}, state.Errorf(state.NotFound, "volume %s is an ephemeral one: it is its pod's alone", id)
	}
	return v, err
}

func getReady(ctx context.Context, volumes state.VolumeRecords, id string) (state.Volume, error) {
	v, err := volumes.Get(ctx, id)
	if err == nil && !isReady(v) || state.ReasonOf(err) == state.NotFound {
		return v, state.Errorf(state.NotFound, "there is no volume %s", state.Quote(id))
	}
	return v, err
}
