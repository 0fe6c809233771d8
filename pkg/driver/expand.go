package driver

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// ControllerExpandVolume makes a volume larger while it is in use; the agent has
// the new size in force when it answers, so there is nothing left for the node to
// do. A volume is never made smaller.
func (c *controller) ControllerExpandVolume(ctx context.Context, req *csi.ControllerExpandVolumeRequest) (*csi.ControllerExpandVolumeResponse, error) {
	id := req.GetVolumeId()
	if err := checkID("volume_id", id); err != nil {
		return nil, err
	}
	if req.GetCapacityRange() == nil {
		return nil, state.Errorf(state.Invalid, "capacity_range is missing")
	}
	want, err := parseSize(req.GetCapacityRange())
	if err != nil {
		return nil, err
	}
	end, err := c.inFlight.begin(id, "volume "+state.Quote(id))
	if err != nil {
		return nil, err
	}
	defer end()
	v, err := c.get(ctx, id)
	if err != nil {
		return nil, err
	}
	if capability := req.GetVolumeCapability(); capability != nil {
		if err := servesVolume(v, capability); err != nil {
			return nil, state.Errorf(state.Invalid, "%w", err)
		}
	}
	switch has := v.Status.CapacityBytes; {
	case want.most > 0 && has > want.most:
		return nil, state.Errorf(state.OutOfRange, "capacity_range.limit_bytes is %d; volume %s has %d and is never made smaller", want.most, id, has)
	case want.least > has:
		if v.Spec.AccessType == state.BlockAccess {
			if want.least, err = want.inBlocks(); err != nil {
				return nil, err
			}
		}
		if v, err = c.resize(ctx, v, want.least); err != nil {
			return nil, ofExisting(fmt.Errorf("expanding volume %s: %w", id, err))
		}
	}
	return &csi.ControllerExpandVolumeResponse{CapacityBytes: v.Status.CapacityBytes}, nil
}

// resize declares the new size and waits until it is in force. Where the agent
// refuses, the old size is declared again before the refusal is told.
func (c *controller) resize(ctx context.Context, v state.Volume, bytes int64) (state.Volume, error) {
	if n, err := c.nodes.Get(ctx, v.Spec.Node); err == nil {
		if p, ok := n.Status.Pool(v.Spec.Pool); ok && p.Usable() && bytes > p.Usage.TotalBytes {
			return v, state.Errorf(state.OutOfRange, "capacity_range.required_bytes is %d; pool %s has %d", bytes, v.Spec.Pool, p.Usage.TotalBytes)
		}
	}
	if err := c.reachable(v); err != nil {
		return v, err
	}
	ctx, done := linger(ctx)
	defer done()
	set := func(bytes int64) (state.Volume, error) {
		return c.volumes.UpdateSpec(ctx, v.ID, func(spec *state.VolumeSpec) error {
			spec.CapacityBytes = bytes
			return nil
		})
	}
	declared, err := set(bytes)
	if err != nil {
		return v, err
	}
	now, err := state.Await(ctx, c.volumes, v.ID, func(v state.Volume) (bool, error) {
		return v.Status.ObservedGeneration >= declared.Generation, nil
	})
	if err != nil {
		return v, err
	}
	if refused := state.Refused(now); refused != nil {
		if _, err := set(now.Status.CapacityBytes); err != nil {
			return v, fmt.Errorf("taking back an expansion: %w", err)
		}
		return v, refused
	}
	return now, nil
}
