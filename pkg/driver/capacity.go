package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// GetCapacity tells how much the pools that a class means have left in a topology,
// and how large one volume may be: as much as the pool with most room has. What
// cannot be served at all has no capacity.
func (c *controller) GetCapacity(ctx context.Context, req *csi.GetCapacityRequest) (*csi.GetCapacityResponse, error) {
	p, err := config.ParseParameters(req.GetParameters(), c.parameterDefaults())
	if err != nil {
		return nil, err
	}
	resp := &csi.GetCapacityResponse{MaximumVolumeSize: wrapperspb.Int64(0)}
	want := wanted{parameters: p}
	if len(req.GetVolumeCapabilities()) > 0 {
		want.kind, want.access, err = parseCapabilities(req.GetVolumeCapabilities())
		if state.ReasonOf(err) == state.Incompatible || err == nil && want.kind == state.BlockAccess {
			return resp, nil
		}
		if err != nil {
			return nil, err
		}
	}
	var there requirement
	if t := req.GetAccessibleTopology(); t != nil {
		there.only = nodesOf([]*csi.Topology{t})
	}
	places, err := c.places(ctx, p, there)
	if err != nil {
		return nil, err
	}
	for _, at := range places {
		if serves(at, want) == nil {
			resp.AvailableCapacity += at.pool.AvailableBytes
			resp.MaximumVolumeSize.Value = max(resp.MaximumVolumeSize.Value, at.pool.AvailableBytes)
		}
	}
	return resp, nil
}
