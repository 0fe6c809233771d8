package statetest

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// model runs random calls against a store and a map, and compares.
func (u *suite) model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{suite: u, t: t, store: u.open(t), records: make(map[string]state.Volume)}
		rt.Repeat(rapid.StateMachineActions(m))
		wantReason(t, "", m.store.Close())
	})
}

type machine struct {
	suite   *suite
	t       *testing.T
	store   state.Store
	records map[string]state.Volume
}

// IDs are few, so that the calls meet.
func (m *machine) id(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "b.b", "c-c", "d"}).Draw(rt, "id")
}

func (m *machine) Create(rt *rapid.T) {
	id := m.id(rt)
	want := spec(rapid.String().Draw(rt, "name"))
	got, err := m.store.Volumes().Create(m.t.Context(), id, want)
	if _, taken := m.records[id]; taken {
		m.want(rt, state.AlreadyExists, err)
		return
	}
	m.want(rt, "", err)
	m.same(rt, got, state.Volume{Meta: state.Meta{ID: id, UID: got.UID, Generation: 1, CreatedAt: got.CreatedAt}, Spec: want})
	m.records[id] = got
}

func (m *machine) Get(rt *rapid.T) {
	id := m.id(rt)
	got, err := m.store.Volumes().Get(m.t.Context(), id)
	want, ok := m.records[id]
	if !ok {
		m.want(rt, state.NotFound, err)
		return
	}
	m.want(rt, "", err)
	m.same(rt, got, want)
}

func (m *machine) UpdateSpec(rt *rapid.T) {
	id, size := m.id(rt), rapid.Int64Range(0, 3).Draw(rt, "size")
	got, err := m.store.Volumes().UpdateSpec(m.t.Context(), id, func(s *state.VolumeSpec) error {
		if size == 0 {
			s.Pool = "changed"
			return errChange
		}
		s.CapacityBytes = size
		return nil
	})
	want, ok := m.records[id]
	switch {
	case !ok:
		m.want(rt, state.NotFound, err)
		return
	case want.DeletedAt != nil:
		m.want(rt, state.Busy, err)
		return
	case size == 0:
		m.want(rt, state.Defect, err)
		return
	case want.Spec.CapacityBytes != size:
		want.Spec.CapacityBytes = size
		want.Generation++
	}
	m.want(rt, "", err)
	m.same(rt, got, want)
	m.records[id] = want
}

func (m *machine) UpdateStatus(rt *rapid.T) {
	id := m.id(rt)
	phase := rapid.SampledFrom([]state.Phase{"", state.Pending, state.Ready, state.Deleting, state.Failed}).Draw(rt, "phase")
	got, err := m.store.Volumes().UpdateStatus(m.t.Context(), id, func(u *state.VolumeStatus) error { u.Phase = phase; return nil })
	want, ok := m.records[id]
	if !ok {
		m.want(rt, state.NotFound, err)
		return
	}
	want.Status.Phase = phase
	m.want(rt, "", err)
	m.same(rt, got, want)
	m.records[id] = want
}

func (m *machine) Delete(rt *rapid.T) {
	id := m.id(rt)
	err := m.store.Volumes().Delete(m.t.Context(), id)
	want, ok := m.records[id]
	if !ok {
		m.want(rt, state.NotFound, err)
		return
	}
	m.want(rt, "", err)
	got, err := m.store.Volumes().Get(m.t.Context(), id)
	m.want(rt, "", err)
	if want.DeletedAt == nil {
		if got.DeletedAt == nil {
			rt.Fatalf("%s is not marked", id)
		}
		want.DeletedAt = got.DeletedAt
		want.Generation++
	}
	m.same(rt, got, want)
	m.records[id] = want
}

func (m *machine) Keep(rt *rapid.T) {
	id, uid := m.life(rt)
	err := m.store.Volumes().Keep(m.t.Context(), id, uid)
	want, ok := m.records[id]
	if !ok || want.UID != uid {
		m.want(rt, state.NotFound, err)
		return
	}
	m.want(rt, "", err)
	if want.DeletedAt != nil {
		want.DeletedAt = nil
		want.Generation++
	}
	m.records[id] = want
}

func (m *machine) Finalize(rt *rapid.T) {
	id, uid := m.life(rt)
	err := m.store.Volumes().Finalize(m.t.Context(), id, uid)
	if want, ok := m.records[id]; !ok || want.UID != uid {
		m.want(rt, state.NotFound, err)
		return
	}
	m.want(rt, "", err)
	delete(m.records, id)
}

// Check compares everything, after every call.
func (m *machine) Check(rt *rapid.T) { m.list(rt, state.Page{}) }

func (m *machine) List(rt *rapid.T) {
	after := rapid.SampledFrom([]string{"", "a", "aa", "b", "b.b", "c", "d"}).Draw(rt, "after")
	limit := rapid.IntRange(0, 4).Draw(rt, "limit")
	m.list(rt, state.Page{After: after, Limit: limit})
}

func (m *machine) list(rt *rapid.T, page state.Page) {
	got, next, err := m.store.Volumes().List(m.t.Context(), page)
	m.want(rt, "", err)

	var want []state.Volume
	for _, id := range slices.Sorted(maps.Keys(m.records)) {
		if id > page.After {
			want = append(want, m.records[id])
		}
	}
	wantNext := ""
	if page.Limit > 0 && len(want) > page.Limit {
		want = want[:page.Limit]
		wantNext = want[page.Limit-1].ID
	}
	if len(got) != len(want) || next != wantNext {
		rt.Fatalf("got %d records and next page %q, want %d and %q", len(got), next, len(want), wantNext)
	}
	for i := range got {
		m.same(rt, got[i], want[i])
	}
}

// Restart closes the store and opens it again, if it can. Records that are Pending
// may be gone; all others are as they were.
func (m *machine) Restart(rt *rapid.T) {
	if m.suite.reopen == nil {
		return
	}
	uuid := m.store.UUID()
	m.store = m.suite.reopen(m.t, m.store)
	if m.store.UUID() != uuid {
		rt.Fatalf("the store's UUID was %s and is %s", uuid, m.store.UUID())
	}
	for id, want := range m.records {
		got, err := m.store.Volumes().Get(m.t.Context(), id)
		pending := want.Status.Phase == "" || want.Status.Phase == state.Pending
		if pending && state.ReasonOf(err) == state.NotFound {
			delete(m.records, id)
			continue
		}
		m.want(rt, "", err)
		m.same(rt, got, want)
	}
}

// life draws an ID and a UID, mostly that of the record there is.
func (m *machine) life(rt *rapid.T) (id, uid string) {
	id = m.id(rt)
	if rapid.IntRange(0, 4).Draw(rt, "whose") == 0 {
		return id, "of another life"
	}
	return id, m.records[id].UID
}

func (m *machine) want(rt *rapid.T, want state.Reason, err error) {
	if got := state.ReasonOf(err); got != want {
		rt.Fatalf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func (m *machine) same(rt *rapid.T, got, want state.Volume) {
	if !reflect.DeepEqual(got, want) {
		rt.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// restart checks by hand what the model checks at random.
func (u *suite) restart(t *testing.T) {
	s := u.open(t)
	ctx := soon(t)
	for _, id := range []string{"ready", "deleted", "kept", "grown", "gone"} {
		mustCreate(t, s, id)
		mustSetPhase(t, s, id, state.Ready)
	}
	mustSetPhase(t, s, "deleted", state.Deleting)
	mustDelete(t, s, "kept")
	wantReason(t, "", s.Volumes().Keep(ctx, "kept", mustGet(t, s, "kept").UID))
	_, err := s.Volumes().UpdateSpec(ctx, "grown", func(s *state.VolumeSpec) error { s.CapacityBytes *= 2; return nil })
	wantReason(t, "", err)
	mustFinalize(t, s, mustGet(t, s, "gone"))
	_, err = s.Nodes().Create(ctx, "node-1", state.NodeSpec{Pools: map[string]string{"default": "uuid"}})
	wantReason(t, "", err)
	want, _, err := s.Volumes().List(ctx, state.Page{})
	wantReason(t, "", err)

	s = u.reopen(t, s)
	got, _, err := s.Volumes().List(ctx, state.Page{})
	wantReason(t, "", err)
	wantSame(t, got, want)
	node, err := s.Nodes().Get(ctx, "node-1")
	wantReason(t, "", err)
	wantSame(t, node.Spec.Pools, map[string]string{"default": "uuid"})
}
