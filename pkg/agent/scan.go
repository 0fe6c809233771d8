package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const scanPage = 1000

// lostReason marks, among a volume's health conditions, the one that scan sets.
const lostReason = "DirectoryMissing"

// scan compares a pool with the records, before the pool is used:
//
//	record               on the disk          what is done
//	Ready                volumes/ID           nothing; a lost volume that came back is healthy again
//	Ready                .tmp/ID.UID          placed: the crash came between commit and rename
//	Ready                the directory that   placed: the crash came between commit and rename
//	                     it is made of
//	Deleting             anything or nothing  discarded again, finalized
//	any                  only .trash/ID.UID   finalized: the crash came between rename and commit
//	Pending, Failed      the directory that   left where it is, and as it was
//	                     it is to be made of
//	Ready                nothing              health DATA_LOSS; never made again empty
//	Pending, Failed      anything or nothing  nobody was answered: undone, or done, as
//	                                          Options.CallersShareProcess says
//	Ready, to be deleted volumes/ID           nobody was answered: taken back, or reconciled, as
//	                                          Options.CallersShareProcess says
//	Ready, changed       volumes/ID           reconciled once the agent works
//	none                 .tmp/X               moved to the trash
//	none                 volumes/X            an orphan: reported, never touched
//	                     claims/A, empty      removed
//
// What is said of volumes/ID holds for images/ID, if the volume is a block volume, and for
// claims/PATH, if it is named after its claim. For a
// snapshot the same is done with snapshots/ID, and:
//
//	Ready                nothing              told as lost, and not ready to use
//	Copying              anything or nothing  it was told of: copied again
func (a *Agent) scan(ctx context.Context, p *nodePool, b backend.Backend) error {
	disk, err := b.Contents(ctx)
	if err != nil {
		return fmt.Errorf("scanning pool %s: %w", p.o.Name, err)
	}
	s := scan{a: a, p: p, b: b, disk: disk}
	err = each(ctx, a.o.Volumes, func(v state.Volume) error {
		if v.Spec.Node != a.o.NodeID || v.Spec.Pool != p.o.Name {
			return nil
		}
		if err := s.volume(ctx, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		return nil
	})
	if err == nil && a.o.Snapshots != nil {
		err = each(ctx, a.o.Snapshots, func(snap state.Snapshot) error {
			if snap.Spec.Node != a.o.NodeID || snap.Spec.Pool != p.o.Name {
				return nil
			}
			if err := s.snapshot(ctx, snap); err != nil {
				return fmt.Errorf("snapshot %s: %w", snap.ID, err)
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("scanning pool %s: %w", p.o.Name, err)
	}
	if err := s.sweep(); err != nil {
		return fmt.Errorf("scanning pool %s: %w", p.o.Name, err)
	}
	if err := s.settle(ctx); err != nil {
		return fmt.Errorf("scanning pool %s: %w", p.o.Name, err)
	}
	for name := range disk.Building {
		if err := b.DiscardLeaving(name); err != nil {
			return fmt.Errorf("scanning pool %s: %w", p.o.Name, err)
		}
	}
	if err := b.Prune(ctx); err != nil {
		return fmt.Errorf("scanning pool %s: %w", p.o.Name, err)
	}
	p.countArchive(b)
	s.finish()
	return nil
}

// each calls do with every record, until it fails.
func each[S, U any](ctx context.Context, records state.Records[S, U], do func(state.Object[S, U]) error) error {
	for page := (state.Page{Limit: scanPage}); ; {
		some, next, err := records.List(ctx, page)
		if err != nil {
			return err
		}
		for _, obj := range some {
			if err := do(obj); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		page.After = next
	}
}

// scan is one scan: disk shrinks by what records speak of, and what is left of it
// is nobody's.
type scan struct {
	a    *Agent
	p    *nodePool
	b    backend.Backend
	disk backend.Contents

	allocated             int64
	ready, readySnapshots int
	// unfinished and unfinishedSnapshots are to be reconciled once the agent works.
	unfinished, unfinishedSnapshots []string
	discarded                       []func() error // end the records of what was discarded
}

func (s *scan) volume(ctx context.Context, v state.Volume) error {
	s.hold(v)
	passing := backend.PassingName(v)
	places, name := s.disk.Volumes, v.ID
	switch {
	case v.Spec.AccessType == state.BlockAccess:
		places = s.disk.Images
	case v.Spec.Path != "":
		places, name = s.disk.Claims, v.Spec.Path
	}
	_, placed := places[name]
	_, built := s.disk.Building[passing]
	_, trashed := s.disk.Trash[passing]
	if v.Status.Phase == state.Ready || v.Status.Phase == state.Deleting { // else nothing was placed: an orphan
		delete(places, name)
	}

	switch ready := v.Status.Phase == state.Ready; {
	case v.Status.Phase == state.Deleting, trashed && !placed && !built:
		klog.InfoS("Finishing a deletion that a crash cut short", "volumeID", v.ID, "pool", s.p.o.Name)
		return s.discard(ctx, v)
	case !ready && s.a.o.CallersShareProcess && !v.CreatedAt.After(s.a.started):
		klog.InfoS("Undoing a creation that a crash cut short", "volumeID", v.ID, "pool", s.p.o.Name)
		return s.discard(ctx, v)
	case !ready:
		delete(s.disk.Building, passing)
		s.unfinished = append(s.unfinished, v.ID)
		return nil
	}
	delete(s.disk.Building, passing)
	if v.DeletedAt != nil && s.a.o.CallersShareProcess && !v.DeletedAt.After(s.a.started) {
		klog.InfoS("Taking back a deletion that a crash cut short", "volumeID", v.ID, "pool", s.p.o.Name)
		if err := s.a.o.Volumes.Keep(ctx, v.ID, v.UID); err != nil {
			return err
		}
	}
	s.ready++
	s.allocated += v.Status.CapacityBytes
	if v.DeletedAt != nil || unfinished(v) { // also if that was taken back just now
		s.unfinished = append(s.unfinished, v.ID)
	}
	switch {
	case built && placed:
		klog.ErrorS(nil, "A volume is in two places; both are left alone: move the one away that is not its data", "volumeID", v.ID, "pool", s.p.o.Name,
			"path", v.Status.Path, "other", ".tmp/"+passing)
	case built:
		if _, err := s.b.Place(ctx, v); err != nil {
			return err
		}
		placed = true
	case !placed && v.Spec.Adopt != "":
		_, err := s.b.Place(ctx, v)
		if err != nil && state.ReasonOf(err) != state.Lost {
			return err
		}
		if placed = err == nil; placed {
			delete(s.disk.Volumes, strings.TrimPrefix(v.Spec.Adopt, pool.VolumesDir+"/"))
			delete(s.disk.Claims, strings.TrimPrefix(v.Spec.Adopt, pool.ClaimsDir+"/"))
		}
	}
	return s.health(ctx, v, placed)
}

// discard takes what is left of the volume out of the way; settle ends its record.
func (s *scan) discard(ctx context.Context, v state.Volume) error {
	delete(s.disk.Building, backend.PassingName(v))
	if err := s.b.Discard(ctx, v); err != nil {
		return err
	}
	s.discarded = append(s.discarded, func() error { return s.a.finalize(ctx, s.b, v) })
	return nil
}

// settle makes all that was discarded durable at once, and ends the records.
func (s *scan) settle(ctx context.Context) error {
	if len(s.discarded) == 0 {
		return nil
	}
	if err := s.b.Settle(ctx); err != nil {
		return err
	}
	for _, finalize := range s.discarded {
		if err := finalize(); err != nil {
			return err
		}
	}
	return nil
}

// health sets or clears the condition that the volume's data is gone.
func (s *scan) health(ctx context.Context, v state.Volume, there bool) error {
	isLost := func(h state.Health) bool { return h.Reason == lostReason }
	if there == !slices.ContainsFunc(v.Status.Health, isLost) {
		return nil
	}
	if there {
		klog.InfoS("A lost volume is back", "volumeID", v.ID, "pool", s.p.o.Name)
	} else {
		klog.ErrorS(nil, "A volume's directory is missing", "volumeID", v.ID, "pool", s.p.o.Name, "path", v.Status.Path)
	}
	_, err := s.a.o.Volumes.UpdateStatus(ctx, v.ID, func(st *state.VolumeStatus) error {
		st.Health = slices.DeleteFunc(st.Health, isLost)
		if !there {
			st.Health = append(st.Health, state.Health{Type: state.DataLoss, Reason: lostReason,
				Message: fmt.Sprintf("%s is not in pool %s any more: bring it back from a copy and restart the driver, or delete the volume", st.Path, s.p.o.Name)})
		}
		return nil
	})
	return err
}

// finish puts what was found into the pool's account.
func (s *scan) finish() {
	orphans := make([]string, 0, len(s.disk.Volumes)+len(s.disk.Claims)+len(s.disk.Images)+len(s.disk.Snapshots))
	for name := range s.disk.Volumes {
		orphans = append(orphans, name)
	}
	for path := range s.disk.Claims {
		orphans = append(orphans, backend.ClaimPath(path))
	}
	for name := range s.disk.Images {
		orphans = append(orphans, backend.ImagePath(name))
	}
	for name := range s.disk.Snapshots {
		orphans = append(orphans, backend.SnapshotPath(name))
	}
	slices.Sort(orphans)
	if len(orphans) > 0 {
		klog.InfoS("Pool holds directories that no record speaks of; they are left alone", "pool", s.p.o.Name,
			"orphans", len(orphans), "first", orphans[0])
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.allocated, s.p.volumes, s.p.snapshots, s.p.orphans = s.allocated, s.ready, s.readySnapshots, orphans
	s.p.unfinished, s.p.unfinishedSnapshots = s.unfinished, s.unfinishedSnapshots
	s.p.backlog = len(s.disk.Trash)
	s.p.wakePurge()
}

// resume has the volumes and snapshots reconciled that a crash or a restart left unfinished.
func (a *Agent) resume() {
	for _, p := range a.pools.all() {
		a.resumePool(p)
	}
}

func (a *Agent) resumePool(p *nodePool) {
	p.mu.Lock()
	unfinished, snapshots := p.unfinished, p.unfinishedSnapshots
	p.unfinished, p.unfinishedSnapshots = nil, nil
	p.mu.Unlock()
	for _, id := range snapshots {
		a.snapshots.add(id)
	}
	for _, id := range unfinished {
		a.queue.add(id)
	}
}
