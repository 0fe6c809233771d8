package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// DeleteVolume asks for the volume's end and answers once its data is out of the
// way and its record gone; the space is freed in the background. A volume in use
// stays as it is.
func (c *controller) DeleteVolume(ctx context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	id := req.GetVolumeId()
	if err := checkID("volume_id", id); err != nil {
		return nil, err
	}
	end, err := c.inFlight.begin(id, "volume "+state.Quote(id))
	if err != nil {
		return nil, err
	}
	defer end()
	v, err := c.volumes.Get(ctx, id)
	if err == nil && v.Spec.Ephemeral == nil { // for an ephemeral one this is not asked
		err = c.clear(ctx, v)
	}
	if err != nil && state.ReasonOf(err) != state.NotFound {
		return nil, ofExisting(err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

// clear has a volume removed and waits until that is done.
func (c *controller) clear(ctx context.Context, v state.Volume) error {
	return clearRecord(ctx, c.volumes, v, "volume "+v.ID, func() error { return c.reachable(v) },
		func(v state.Volume) (state.Phase, error) { return v.Status.Phase, state.Refused(v) })
}

// clearRecord has what a record is about removed and waits until that is done. Where the
// agent refuses, the deletion is taken back before the refusal is told: it must not
// happen later, when nobody asks for it any more. look tells the phase of a record, and
// why the agent has refused it, if so.
func clearRecord[S, U any](ctx context.Context, records state.Desired[S, U], obj state.Object[S, U], what string,
	reachable func() error, look func(state.Object[S, U]) (state.Phase, error)) error {
	ctx, done := linger(ctx)
	defer done()
	phase, refusedBefore := look(obj)
	if phase == state.Deleting {
		return nil // that it is gone was told before; its record follows
	}
	if obj.DeletedAt != nil && refusedBefore != nil {
		// A refusal that a crash kept from being told. Ask anew.
		if err := records.Keep(ctx, obj.ID, obj.UID); err != nil {
			return err
		}
	}
	if err := records.Delete(ctx, obj.ID); err != nil {
		return err
	}
	if err := reachable(); err != nil {
		return fmt.Errorf("deleting %s, which is noted down: %w", what, err)
	}
	var refused error
	_, err := state.Await(ctx, records, obj.ID, func(now state.Object[S, U]) (bool, error) {
		phase, why := look(now)
		if now.UID != obj.UID || phase == state.Deleting {
			return true, nil
		}
		if now.DeletedAt != nil {
			refused = why
		}
		return false, refused
	})
	if refused != nil {
		if kerr := records.Keep(ctx, obj.ID, obj.UID); kerr != nil {
			return fmt.Errorf("taking back the deletion of %s: %w", what, kerr)
		}
	}
	if err != nil && state.ReasonOf(err) != state.NotFound {
		return fmt.Errorf("deleting %s: %w", what, err)
	}
	return nil
}

// lingering is how long an agent's answer is awaited that the caller does not await
// any more. It takes milliseconds.
const lingering = 5 * time.Second

// linger returns a context that outlives ctx for a while: what was declared is seen
// to its end, so that a deletion that the agent refuses is taken back, and the volume
// not hidden for good, though nobody hears of it.
func linger(ctx context.Context) (longer context.Context, done func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(lingering, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}
