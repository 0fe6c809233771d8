package statetest

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func createGet(t *testing.T, s state.Store) {
	before := time.Now().Add(-time.Minute)
	want := spec("pvc-1")
	want.Source = &state.Source{Kind: state.FromVolume, ID: "other"}
	want.Claim = &state.Claim{Namespace: "default", Name: "data", PV: "pvc-1"}
	created, err := s.Volumes().Create(soon(t), "pvc-1", want)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, created.Spec, want)
	wantSame(t, created.Status, state.VolumeStatus{})
	if created.ID != "pvc-1" || created.Generation != 1 || created.DeletedAt != nil {
		t.Errorf("a new record has %+v", created.Meta)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(created.UID) {
		t.Errorf("UID %q is not 32 hexadecimal digits", created.UID)
	}
	if created.CreatedAt.Before(before) || created.CreatedAt.Location() != time.UTC {
		t.Errorf("created at %v", created.CreatedAt)
	}
	wantSame(t, mustGet(t, s, "pvc-1"), created)
}

// What the store was told of by its own calls is known at once.
func known(t *testing.T, s state.Store) {
	created := mustCreate(t, s, "a")
	got, err := s.Volumes().Known(soon(t), "a")
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, created)
	mustDelete(t, s, "a")
	if got, err = s.Volumes().Known(soon(t), "a"); err != nil || got.DeletedAt == nil {
		t.Errorf("a record whose deletion was asked for is known as %+v, %v", got, err)
	}
	mustFinalize(t, s, created)
	for _, id := range []string{"a", "b", "", "../b"} {
		_, err = s.Volumes().Known(soon(t), id)
		wantReason(t, state.NotFound, err)
	}
}

func createTaken(t *testing.T, s state.Store) {
	first := mustCreate(t, s, "a")
	_, err := s.Volumes().Create(soon(t), "a", spec("other"))
	wantReason(t, state.AlreadyExists, err)
	wantSame(t, mustGet(t, s, "a"), first)

	mustDelete(t, s, "a")
	_, err = s.Volumes().Create(soon(t), "a", spec("other"))
	wantReason(t, state.AlreadyExists, err)

	mustFinalize(t, s, first)
	second := mustCreate(t, s, "a")
	if second.UID == first.UID {
		t.Errorf("the second life has the UID of the first: %s", first.UID)
	}
}

func hostileIDs(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	for _, id := range []string{"", ".", "..", "/", "../a", "a/../a", "a/b", "A", "a b", "a\x00", "a\n", "-a", "a-", "a..b",
		"ä", "\xff", "v/a", strings.Repeat("a", 64), strings.Repeat("a", 1<<16)} {
		_, err := s.Volumes().Create(soon(t), id, spec("x"))
		wantReason(t, state.Invalid, err)
		_, err = s.Volumes().Get(soon(t), id)
		wantReason(t, state.NotFound, err)
		_, err = s.Volumes().UpdateStatus(soon(t), id, func(*state.VolumeStatus) error { return nil })
		wantReason(t, state.NotFound, err)
		_, err = s.Volumes().UpdateSpec(soon(t), id, func(*state.VolumeSpec) error { return nil })
		wantReason(t, state.NotFound, err)
		wantReason(t, state.NotFound, s.Volumes().Delete(soon(t), id))
		wantReason(t, state.NotFound, s.Volumes().Keep(soon(t), id, "x"))
		wantReason(t, state.NotFound, s.Volumes().Finalize(soon(t), id, "x"))
		wantReason(t, "", state.AwaitGone(soon(t), s.Volumes(), id, "x", nil))
	}
	list, _, err := s.Volumes().List(soon(t), state.Page{})
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, list, "a")
}

func hostileNames(t *testing.T, s state.Store) {
	for _, name := range []string{"../../etc/passwd", "a\x00b", "名前", "a\nb", `"},"x":{"`, "<script>&", strings.Repeat("n", 4096), "\u2028"} {
		id := state.VolumeID(name)
		if _, err := s.Volumes().Create(soon(t), id, spec(name)); err != nil {
			t.Fatalf("creating %q: %v", name, err)
		}
		wantSame(t, mustGet(t, s, id).Spec.Name, name)
	}
}

func generations(t *testing.T, s state.Store) {
	created := mustCreate(t, s, "a")
	updated, err := s.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { s.CapacityBytes++; return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := created
	want.Generation, want.Spec.CapacityBytes = 2, created.Spec.CapacityBytes+1
	wantSame(t, updated, want)

	wantSame(t, mustSetPhase(t, s, "a", state.Ready).Generation, 2)
	mustDelete(t, s, "a")
	wantSame(t, mustGet(t, s, "a").Generation, 3)
}

func halves(t *testing.T, s state.Store) {
	created := mustCreate(t, s, "a")
	status := state.VolumeStatus{Phase: state.Ready, Path: "volumes/a", CapacityBytes: 1 << 30, QuotaID: 7, ObservedGeneration: 1,
		Health: []state.Health{{Type: state.Degraded, Reason: "Slow", Message: "it is slow"}}}
	updated, err := s.Volumes().UpdateStatus(soon(t), "a", func(u *state.VolumeStatus) error { *u = status; return nil })
	if err != nil {
		t.Fatal(err)
	}
	want := created
	want.Status = status
	wantSame(t, updated, want)

	updated, err = s.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { s.CapacityBytes *= 2; return nil })
	if err != nil {
		t.Fatal(err)
	}
	want.Generation, want.Spec.CapacityBytes = 2, 2<<30
	wantSame(t, updated, want)
	wantSame(t, mustGet(t, s, "a"), want)
}

func failingChange(t *testing.T, s state.Store) {
	created := mustCreate(t, s, "a")
	_, err := s.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { s.Pool = "x"; return errChange })
	if !errors.Is(err, errChange) {
		t.Errorf("got %v, want the change's own error", err)
	}
	_, err = s.Volumes().UpdateStatus(soon(t), "a", func(u *state.VolumeStatus) error {
		u.Phase = state.Ready
		return state.Errorf(state.NoSpace, "full: %w", errChange)
	})
	if !errors.Is(err, errChange) {
		t.Errorf("got %v, want the change's own error", err)
	}
	wantReason(t, state.NoSpace, err)
	wantSame(t, mustGet(t, s, "a"), created)
}

func emptyChange(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	want := mustSetPhase(t, s, "a", state.Ready)
	woken, stop := s.Volumes().Wake("a")
	defer stop()
	got, err := s.Volumes().UpdateSpec(soon(t), "a", func(*state.VolumeSpec) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
	got, err = s.Volumes().UpdateStatus(soon(t), "a", func(u *state.VolumeStatus) error { u.Phase = state.Ready; return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
	wantSame(t, mustGet(t, s, "a"), want)
	select {
	case <-woken:
		t.Error("a change of nothing woke somebody")
	default:
	}
}

func missing(t *testing.T, s state.Store) {
	_, err := s.Volumes().Get(soon(t), "a")
	wantReason(t, state.NotFound, err)
	_, err = s.Volumes().UpdateSpec(soon(t), "a", func(*state.VolumeSpec) error { t.Error("called"); return nil })
	wantReason(t, state.NotFound, err)
	_, err = s.Volumes().UpdateStatus(soon(t), "a", func(*state.VolumeStatus) error { t.Error("called"); return nil })
	wantReason(t, state.NotFound, err)
	wantReason(t, state.NotFound, s.Volumes().Delete(soon(t), "a"))
	wantReason(t, state.NotFound, s.Volumes().Keep(soon(t), "a", "x"))
	wantReason(t, state.NotFound, s.Volumes().Finalize(soon(t), "a", "x"))
}

func deleteFinalize(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	v := mustSetPhase(t, s, "a", state.Ready)
	mustDelete(t, s, "a")
	deleted := mustGet(t, s, "a")
	if deleted.DeletedAt == nil || deleted.DeletedAt.Location() != time.UTC {
		t.Fatalf("a deleted record has DeletedAt %v", deleted.DeletedAt)
	}
	want := v
	want.DeletedAt, want.Generation = deleted.DeletedAt, v.Generation+1
	wantSame(t, deleted, want)

	want.Status.Phase = state.Deleting
	wantSame(t, mustSetPhase(t, s, "a", state.Deleting), want)

	mustFinalize(t, s, v)
	_, err := s.Volumes().Get(soon(t), "a")
	wantReason(t, state.NotFound, err)
	wantReason(t, state.NotFound, s.Volumes().Finalize(soon(t), "a", v.UID))
}

func deleteTwice(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	mustDelete(t, s, "a")
	want := mustGet(t, s, "a")
	mustDelete(t, s, "a")
	wantSame(t, mustGet(t, s, "a"), want)
}

func deletedSpec(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	mustDelete(t, s, "a")
	want := mustGet(t, s, "a")
	_, err := s.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { s.CapacityBytes++; return nil })
	wantReason(t, state.Busy, err)
	wantSame(t, mustGet(t, s, "a"), want)
}

func keep(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	v := mustSetPhase(t, s, "a", state.Ready)
	mustDelete(t, s, "a")
	deleted := mustGet(t, s, "a")
	wantReason(t, state.NotFound, s.Volumes().Keep(soon(t), "a", strings.Repeat("0", 32)))
	wantSame(t, mustGet(t, s, "a"), deleted)

	wantReason(t, "", s.Volumes().Keep(soon(t), "a", v.UID))
	want := v
	want.Generation = deleted.Generation + 1
	wantSame(t, mustGet(t, s, "a"), want)

	wantReason(t, "", s.Volumes().Keep(soon(t), "a", v.UID))
	wantSame(t, mustGet(t, s, "a"), want)
}

func finalizeOtherLife(t *testing.T, s state.Store) {
	first := mustCreate(t, s, "a")
	mustFinalize(t, s, first)
	second := mustCreate(t, s, "a")
	wantReason(t, state.NotFound, s.Volumes().Finalize(soon(t), "a", first.UID))
	wantSame(t, mustGet(t, s, "a"), second)
}

func copies(t *testing.T, s state.Store) {
	given := spec("a")
	given.Claim = &state.Claim{Name: "data"}
	v, err := s.Volumes().Create(soon(t), "a", given)
	if err != nil {
		t.Fatal(err)
	}
	given.Claim.Name, v.Spec.Claim.Name = "changed", "changed"

	health := []state.Health{{Type: state.Degraded, Reason: "Slow"}}
	var kept *state.VolumeStatus
	v, err = s.Volumes().UpdateStatus(soon(t), "a", func(u *state.VolumeStatus) error {
		u.Health, kept = health, u
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	kept.Phase, health[0].Reason, v.Status.Health[0].Reason = state.Failed, "Changed", "Changed"

	got := mustGet(t, s, "a")
	got.Spec.Claim.Name, got.Status.Health[0].Reason = got.Spec.Claim.Name+"!", got.Status.Health[0].Reason+"!"
	got = mustGet(t, s, "a")
	wantSame(t, got.Spec.Claim.Name, "data")
	wantSame(t, got.Status.Health[0].Reason, "Slow")
	wantSame(t, got.Status.Phase, "")
}

func kinds(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	if _, err := s.Snapshots().Create(soon(t), "a", state.SnapshotSpec{Name: "a", Volume: "a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Nodes().Create(soon(t), "a", state.NodeSpec{Pools: map[string]string{"default": "uuid"}}); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "", s.Snapshots().Delete(soon(t), "a"))
	if v := mustGet(t, s, "a"); v.DeletedAt != nil {
		t.Error("deleting a snapshot deleted the volume of its name")
	}
	snapshots, _, err := s.Snapshots().List(soon(t), state.Page{})
	if err != nil || len(snapshots) != 1 || snapshots[0].Spec.Volume != "a" {
		t.Errorf("listing snapshots: %+v, %v", snapshots, err)
	}
	nodes, _, err := s.Nodes().List(soon(t), state.Page{})
	if err != nil || len(nodes) != 1 || nodes[0].Spec.Pools["default"] != "uuid" {
		t.Errorf("listing nodes: %+v, %v", nodes, err)
	}
}

func nodeIDs(t *testing.T, s state.Store) {
	for _, id := range []string{"node-1", "Node_1.example.com", "i-0abc:eu", "名前", " ", "n", strings.Repeat("n", 192)} {
		if _, err := s.Nodes().Create(soon(t), id, state.NodeSpec{}); err != nil {
			t.Errorf("creating node %q: %v", id, err)
			continue
		}
		got, err := s.Nodes().UpdateStatus(soon(t), id, func(u *state.NodeStatus) error {
			u.Pools = []state.PoolStatus{{Name: "default", AvailableBytes: 1}}
			return nil
		})
		if err != nil {
			t.Errorf("updating node %q: %v", id, err)
		}
		wantSame(t, got.ID, id)
	}
	for _, id := range []string{"", ".", "..", "a/b", "a\x00b", "a\nb", "a\x7f", "\xff", strings.Repeat("n", 193)} {
		_, err := s.Nodes().Create(soon(t), id, state.NodeSpec{})
		wantReason(t, state.Invalid, err)
		_, err = s.Nodes().Get(soon(t), id)
		wantReason(t, state.NotFound, err)
	}
}
