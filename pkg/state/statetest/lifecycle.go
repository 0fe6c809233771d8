package statetest

import (
	"context"
	"sync"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// calls are all calls for one record, by name.
func calls(s state.Store, id string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error { _, err := s.Volumes().Create(ctx, "new-"+id, spec(id)); return err },
		"Get":    func(ctx context.Context) error { _, err := s.Volumes().Get(ctx, id); return err },
		"List":   func(ctx context.Context) error { _, _, err := s.Volumes().List(ctx, state.Page{}); return err },
		"UpdateSpec": func(ctx context.Context) error {
			_, err := s.Volumes().UpdateSpec(ctx, id, func(s *state.VolumeSpec) error { s.CapacityBytes++; return nil })
			return err
		},
		"UpdateStatus": func(ctx context.Context) error {
			_, err := s.Volumes().UpdateStatus(ctx, id, func(u *state.VolumeStatus) error { u.CapacityBytes++; return nil })
			return err
		},
		"Delete":   func(ctx context.Context) error { return s.Volumes().Delete(ctx, id) },
		"Keep":     func(ctx context.Context) error { return s.Volumes().Keep(ctx, id, "x") },
		"Finalize": func(ctx context.Context) error { return s.Volumes().Finalize(ctx, id, "x") },
		"Healthy":  s.Healthy,
	}
}

func canceled(t *testing.T, s state.Store) {
	want := mustCreate(t, s, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(s, "a") {
		if got := state.ReasonOf(call(ctx)); got != state.Canceled {
			t.Errorf("%s: got reason %q, want %q", name, got, state.Canceled)
		}
	}
	wantSame(t, mustGet(t, s, "a"), want)
	_, err := s.Volumes().Get(soon(t), "new-a")
	wantReason(t, state.NotFound, err)
}

func healthy(t *testing.T, s state.Store) {
	wantReason(t, "", s.Healthy(soon(t)))
	mustCreate(t, s, "a")
	wantReason(t, "", s.Healthy(soon(t)))
}

func uuid(t *testing.T, s state.Store) {
	if first, again := s.UUID(), s.UUID(); first == "" || first != again {
		t.Errorf("the store's UUID is %q, and then %q", first, again)
	}
}

func closed(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	waiting := make(chan error)
	looked := make(chan struct{}, 10)
	go func() {
		_, err := state.Await(t.Context(), s.Volumes(), "a", func(v state.Volume) (bool, error) {
			looked <- struct{}{}
			return isReady(v)
		})
		waiting <- err
	}()
	<-looked
	wantReason(t, "", s.Close())
	wantReason(t, state.Unavailable, <-waiting)
	for name, call := range calls(s, "a") {
		if got := state.ReasonOf(call(soon(t))); got != state.Unavailable {
			t.Errorf("%s: got reason %q, want %q", name, got, state.Unavailable)
		}
	}
	woken, stop := s.Volumes().Wake("a")
	defer stop()
	<-woken // so that nobody waits for a change that will not come
	wantReason(t, "", s.Close())
}

func closeConcurrently(t *testing.T, s state.Store) {
	mustCreate(t, s, "a")
	ctx := soon(t)
	var wg sync.WaitGroup
	started := make(chan struct{}, 1000)
	for i := range 8 {
		wg.Go(func() {
			for {
				for _, call := range calls(s, number("v", i)) {
					if state.ReasonOf(call(ctx)) == state.Unavailable {
						return
					}
				}
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	<-started
	wantReason(t, "", s.Close())
	wg.Wait()
}
