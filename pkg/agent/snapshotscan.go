package agent

import (
	"context"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// snapshot compares one snapshot with the disk: see Agent.scan. A copy that was told of
// before its end (Copying) is made again, since it is promised; any other that was cut
// short is nobody's, as a volume is.
func (s *scan) snapshot(ctx context.Context, snap state.Snapshot) error {
	passing := backend.PassingName(snap)
	phase := snap.Status.Phase
	_, placed := s.disk.Snapshots[snap.ID]
	_, built := s.disk.Building[passing]
	_, trashed := s.disk.Trash[passing]
	if phase == state.Ready || phase == state.Deleting { // else nothing was placed: an orphan
		delete(s.disk.Snapshots, snap.ID)
	}
	shared := s.a.o.CallersShareProcess
	switch {
	case phase == state.Deleting, phase == state.Ready && trashed && !placed && !built:
		klog.InfoS("Finishing a deletion that a crash cut short", "snapshotID", snap.ID, "pool", s.p.o.Name)
		return s.discardSnapshot(ctx, snap)
	case phase != state.Ready && phase != state.Copying && shared && !snap.CreatedAt.After(s.a.started):
		klog.InfoS("Undoing a snapshot that a crash cut short", "snapshotID", snap.ID, "pool", s.p.o.Name)
		return s.discardSnapshot(ctx, snap)
	}
	if snap.DeletedAt != nil && shared && !snap.DeletedAt.After(s.a.started) {
		klog.InfoS("Taking back a deletion that a crash cut short", "snapshotID", snap.ID, "pool", s.p.o.Name)
		if err := s.a.o.Snapshots.Keep(ctx, snap.ID, snap.UID); err != nil {
			return err
		}
	}
	if snap.DeletedAt != nil || unfinishedSnapshot(snap) { // also if that was taken back just now
		s.unfinishedSnapshots = append(s.unfinishedSnapshots, snap.ID)
	}
	if phase != state.Ready {
		if phase == state.Copying {
			klog.InfoS("Copying a snapshot again, whose copy was cut short", "snapshotID", snap.ID, "pool", s.p.o.Name)
		}
		return nil // what is in .tmp of it is a leaving
	}
	s.readySnapshots++
	s.allocated += snap.Status.UsedBytes
	delete(s.disk.Building, passing)
	switch {
	case built && placed:
		klog.ErrorS(nil, "A snapshot is in two places; both are left alone: move the one away that is not its data", "snapshotID", snap.ID, "pool", s.p.o.Name,
			"path", snap.Status.Path, "other", ".tmp/"+passing)
	case built:
		if _, err := s.b.PlaceSnapshot(ctx, snap); err != nil {
			return err
		}
		placed = true
	}
	return s.tellLost(ctx, snap, placed)
}

func (s *scan) discardSnapshot(ctx context.Context, snap state.Snapshot) error {
	delete(s.disk.Building, backend.PassingName(snap))
	if err := s.b.DiscardSnapshot(ctx, snap); err != nil {
		return err
	}
	s.discarded = append(s.discarded, func() error { return s.a.finalizeSnapshot(ctx, snap) })
	return nil
}

// tellLost has a snapshot whose data is not there be ready no more, until it is back.
func (s *scan) tellLost(ctx context.Context, snap state.Snapshot, there bool) error {
	if there == snap.Status.ReadyToUse {
		return nil
	}
	if there {
		klog.InfoS("A lost snapshot is back", "snapshotID", snap.ID, "pool", s.p.o.Name)
	} else {
		klog.ErrorS(nil, "A snapshot's data is missing", "snapshotID", snap.ID, "pool", s.p.o.Name, "path", snap.Status.Path)
	}
	_, err := s.a.o.Snapshots.UpdateStatus(ctx, snap.ID, func(st *state.SnapshotStatus) error {
		st.ReadyToUse, st.Reason, st.Message = there, "", ""
		if !there {
			st.Reason = state.Lost
			st.Message = fmt.Sprintf("%s is not in pool %s any more: bring it back from a copy and restart the driver, or delete the snapshot", st.Path, s.p.o.Name)
		}
		return nil
	})
	return err
}
