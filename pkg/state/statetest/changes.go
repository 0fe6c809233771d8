package statetest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func concurrentUpdates(t *testing.T, s state.Store) {
	const each = 100
	v := mustCreate(t, s, "a")
	ctx := soon(t)
	var wg sync.WaitGroup
	for range each {
		wg.Go(func() {
			_, err := s.Volumes().UpdateStatus(ctx, "a", func(u *state.VolumeStatus) error { u.CapacityBytes++; return nil })
			wantReason(t, "", err)
		})
		wg.Go(func() {
			_, err := s.Volumes().UpdateSpec(ctx, "a", func(s *state.VolumeSpec) error { s.CapacityBytes++; return nil })
			wantReason(t, "", err)
		})
	}
	wg.Wait()
	got := mustGet(t, s, "a")
	wantSame(t, got.Status.CapacityBytes, each)
	wantSame(t, got.Spec.CapacityBytes, v.Spec.CapacityBytes+each)
	wantSame(t, got.Generation, 1+each)
}

func concurrentCreates(t *testing.T, s state.Store) {
	ctx := soon(t)
	var wg sync.WaitGroup
	var created atomic.Int32
	for range 50 {
		wg.Go(func() {
			_, err := s.Volumes().Create(ctx, "a", spec("a"))
			if err == nil {
				created.Add(1)
				return
			}
			wantReason(t, state.AlreadyExists, err)
		})
	}
	wg.Wait()
	wantSame(t, created.Load(), 1)
}

func isReady(v state.Volume) (bool, error) { return v.Status.Phase == state.Ready, nil }

func awaitAtOnce(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	want := mustSetPhase(t, s, "a", state.Ready)
	got, err := state.Await(soon(t), s.Volumes(), "a", isReady)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, got, want)
}

func awaitConcurrently(t *testing.T, s state.Store) {
	ctx := soon(t)
	var wg sync.WaitGroup
	for i := range 100 {
		v := mustCreate(t, s, number("v", i))
		wg.Go(func() {
			got, err := state.Await(ctx, s.Volumes(), v.ID, isReady)
			if err != nil {
				t.Errorf("awaiting %s: %v", v.ID, err)
			}
			wantSame(t, got.UID, v.UID)
		})
		wg.Go(func() {
			for _, phase := range []state.Phase{state.Pending, state.Ready} {
				_, err := s.Volumes().UpdateStatus(ctx, v.ID, func(u *state.VolumeStatus) error { u.Phase = phase; return nil })
				wantReason(t, "", err)
			}
		})
	}
	wg.Wait()
}

func awaitMissing(t *testing.T, s state.Store) {
	_, err := state.Await(soon(t), s.Volumes(), "a", isReady)
	wantReason(t, state.NotFound, err)

	v := mustCreate(t, s, "a")
	ctx := soon(t)
	looked := make(chan struct{}, 10)
	ended := make(chan error)
	go func() {
		_, err := state.Await(ctx, s.Volumes(), "a", func(v state.Volume) (bool, error) {
			looked <- struct{}{}
			return isReady(v)
		})
		ended <- err
	}()
	<-looked
	mustFinalize(t, s, v)
	wantReason(t, state.NotFound, <-ended)
}

func awaitCanceled(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	ctx, cancel := context.WithCancel(soon(t))
	_, err := state.Await(ctx, s.Volumes(), "a", func(state.Volume) (bool, error) { cancel(); return false, nil })
	wantReason(t, state.Canceled, err)

	_, err = state.Await(soon(t), s.Volumes(), "a", func(state.Volume) (bool, error) { return false, errChange })
	wantReason(t, state.Defect, err)
}

func awaitGone(t *testing.T, s state.Store) {
	wantReason(t, "", state.AwaitGone(soon(t), s.Volumes(), "a", "x", nil))
	ctx := soon(t)
	var wg sync.WaitGroup
	for i := range 50 {
		v := mustCreate(t, s, number("v", i))
		wg.Go(func() { wantReason(t, "", state.AwaitGone(ctx, s.Volumes(), v.ID, v.UID, nil)) })
		wg.Go(func() {
			wantReason(t, "", s.Volumes().Delete(ctx, v.ID))
			wantReason(t, "", s.Volumes().Finalize(ctx, v.ID, v.UID))
		})
	}
	wg.Wait()
}

func awaitGoneReborn(t *testing.T, s state.Store) {
	first := mustCreate(t, s, "a")
	mustFinalize(t, s, first)
	mustCreate(t, s, "a")
	wantReason(t, "", state.AwaitGone(soon(t), s.Volumes(), "a", first.UID, nil))
}

func wake(t *testing.T, s state.Store) {
	woken, stop := s.Volumes().Wake("a")
	other, stopOther := s.Volumes().Wake("b")
	defer stopOther()
	ctx := soon(t)
	expect := func(what string) {
		t.Helper()
		select {
		case <-woken:
		case <-ctx.Done():
			t.Fatalf("nobody was woken by %s", what)
		}
	}
	v := mustCreate(t, s, "a")
	expect("a creation")
	mustSetPhase(t, s, "a", state.Ready)
	expect("a change")
	mustDelete(t, s, "a")
	expect("a deletion")
	wantReason(t, "", s.Volumes().Keep(ctx, "a", v.UID))
	expect("a deletion taken back")
	mustFinalize(t, s, v)
	expect("the end")
	stop()
	stop()
	mustCreate(t, s, "a")
	select {
	case <-woken:
		t.Error("woken after stop")
	case <-other:
		t.Error("woken by the change of another record")
	default:
	}
}

// next returns the next event of a watch.
func next(t *testing.T, events <-chan state.Event[state.VolumeSpec, state.VolumeStatus]) state.Event[state.VolumeSpec, state.VolumeStatus] {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("the watch ended")
		}
		return e
	case <-soon(t).Done():
		t.Fatal("no event came")
	}
	panic("unreachable")
}

// drain waits for the end of a watch.
func drain(t *testing.T, events <-chan state.Event[state.VolumeSpec, state.VolumeStatus]) {
	t.Helper()
	ctx := soon(t)
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		case <-ctx.Done():
			t.Fatal("the watch did not end")
		}
	}
}

func watch(t *testing.T, s state.Store) {
	mustCreate(t, s, "before")
	first, second := s.Volumes().Watch(t.Context()), s.Volumes().Watch(t.Context())
	for _, v := range []state.Volume{mustCreate(t, s, "b"), mustCreate(t, s, "a"), mustSetPhase(t, s, "before", state.Ready)} {
		for _, events := range []<-chan state.Event[state.VolumeSpec, state.VolumeStatus]{first, second} {
			e := next(t, events)
			wantSame(t, e.Object, v)
			wantSame(t, e.Gone, false)
		}
	}
}

func watchLast(t *testing.T, s state.Store) {
	events := s.Volumes().Watch(t.Context())
	mustCreate(t, s, "a")
	ctx := soon(t)
	const last = 200
	go func() {
		for i := range int64(last) {
			_, err := s.Volumes().UpdateStatus(ctx, "a", func(u *state.VolumeStatus) error { u.CapacityBytes = i + 1; return nil })
			wantReason(t, "", err)
		}
	}()
	for seen := int64(-1); seen < last; {
		e := next(t, events)
		if e.Object.Status.CapacityBytes <= seen {
			t.Fatalf("saw %d after %d", e.Object.Status.CapacityBytes, seen)
		}
		seen = e.Object.Status.CapacityBytes
	}
}

func watchGone(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	want := mustSetPhase(t, s, "a", state.Ready)
	events := s.Volumes().Watch(t.Context())
	mustFinalize(t, s, want)
	e := next(t, events)
	wantSame(t, e.Gone, true)
	wantSame(t, e.Object, want)
}

func watchSlow(t *testing.T, s state.Store) {
	const ids, rounds = 5, 40
	events := s.Volumes().Watch(t.Context())
	for i := range ids {
		mustCreate(t, s, number("v", i))
	}
	for round := range rounds {
		for i := range ids {
			_, err := s.Volumes().UpdateStatus(soon(t), number("v", i), func(u *state.VolumeStatus) error {
				u.CapacityBytes = int64(round + 1)
				return nil
			})
			wantReason(t, "", err)
		}
	}
	last := make(map[string]int64)
	count := 0
	for done := 0; done < ids; count++ {
		e := next(t, events)
		last[e.Object.ID] = e.Object.Status.CapacityBytes
		if e.Object.Status.CapacityBytes == rounds {
			done++
		}
	}
	if count >= ids*rounds {
		t.Errorf("%d events for %d records: a reader that lags should see the latest only", count, ids)
	}
}

func watchCanceled(t *testing.T, s state.Store) {
	ctx, cancel := context.WithCancel(soon(t))
	read, unread := s.Volumes().Watch(ctx), s.Volumes().Watch(ctx)
	mustCreate(t, s, "a")
	next(t, read)
	cancel()
	drain(t, read)
	drain(t, unread)
	mustCreate(t, s, "b")
	drain(t, s.Volumes().Watch(ctx))
}

func watchClosed(t *testing.T, s state.Store) {
	read, unread := s.Volumes().Watch(t.Context()), s.Volumes().Watch(t.Context())
	mustCreate(t, s, "a")
	next(t, read)
	wantReason(t, "", s.Close())
	drain(t, read)
	drain(t, unread)
	drain(t, s.Volumes().Watch(t.Context()))
}
