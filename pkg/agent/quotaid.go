package agent

import (
	"context"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// quotaIDs returns the quota IDs of a pool, or nil if its volumes need none.
func quotaIDs(b backend.Backend) backend.IDs {
	if l, ok := b.(backend.Limiter); ok {
		return l.QuotaIDs()
	}
	return nil
}

// identify gives the volume a quota ID, where it needs one, and records it: an ID is
// never used that no record speaks of, for then nobody would know whose it is.
func (a *Agent) identify(ctx context.Context, b backend.Backend, v state.Volume) (state.Volume, error) {
	ids := quotaIDs(b)
	if ids == nil || !b.Features().EnforcesLimits || v.Status.QuotaID != 0 || v.Spec.AccessType == state.BlockAccess {
		return v, nil
	}
	id, err := ids.Take()
	if err != nil {
		return v, err
	}
	recorded, err := a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.Phase, st.QuotaID = state.Pending, id
		return nil
	})
	if err != nil {
		releaseID(b, id)
		return v, err
	}
	return recorded, nil
}

// releaseID gives back the quota ID of a record that is gone.
func releaseID(b backend.Backend, id uint32) {
	ids := quotaIDs(b)
	if ids == nil || id == 0 {
		return
	}
	if err := ids.Release(id); err != nil {
		klog.ErrorS(err, "Releasing a quota ID failed; it is free again after a restart", "quotaID", id)
	}
}

// hold keeps the quota ID of a record from being given out again.
func (s *scan) hold(v state.Volume) {
	ids := quotaIDs(s.b)
	if ids == nil || v.Status.QuotaID == 0 {
		return
	}
	if err := ids.Hold(v.Status.QuotaID); err != nil {
		klog.ErrorS(err, "Holding the quota ID of a volume failed", "volumeID", v.ID, "pool", s.p.o.Name, "quotaID", v.Status.QuotaID)
	}
}

// sweep clears limits that no volume has any more.
func (s *scan) sweep() error {
	l, ok := s.b.(backend.Limiter)
	if !ok {
		return nil
	}
	cleared, err := l.Sweep()
	if cleared > 0 {
		klog.InfoS("Cleared limits that a crash had left behind", "pool", s.p.o.Name, "limits", cleared)
	}
	return err
}
