package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestRunDoesEveryOperationOnce(t *testing.T) {
	for _, threads := range []bool{false, true} {
		var done [100]atomic.Int32
		s, err := Run(t.Context(), Phase{Count: len(done), InFlight: 8, OwnThreads: threads, Do: func(_ context.Context, w, i int) error {
			if w < 0 || w >= 8 {
				t.Errorf("worker %d of 8", w)
			}
			done[i].Add(1)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		for i := range done {
			if n := done[i].Load(); n != 1 {
				t.Errorf("operation %d was done %d times", i, n)
			}
		}
		if len(s.Latencies) != len(done) || s.Elapsed <= 0 {
			t.Errorf("%d latencies in %v, want %d", len(s.Latencies), s.Elapsed, len(done))
		}
	}
}

func TestRunKeepsExactlySoManyInFlight(t *testing.T) {
	const inFlight = 8
	var meeting sync.WaitGroup // nobody leaves before all are in
	meeting.Add(inFlight)
	var now, most atomic.Int32
	_, err := Run(t.Context(), Phase{Count: 3 * inFlight, InFlight: inFlight, Do: func(_ context.Context, _, i int) error {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if i < inFlight {
			meeting.Done()
			meeting.Wait()
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() != inFlight {
		t.Errorf("%d were in flight at most, want %d", most.Load(), inFlight)
	}
}

func TestRunEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	var calls atomic.Int32
	_, err := Run(t.Context(), Phase{Count: 1000, InFlight: 1, Do: func(_ context.Context, _, i int) error {
		calls.Add(1)
		if i == 3 {
			return broken
		}
		return nil
	}})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Phase{Count: 1000, InFlight: 2, Do: func(_ context.Context, _, i int) error {
		if i == 10 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestRunRefusesAnEmptyPhase(t *testing.T) {
	nothing := func(context.Context, int, int) error { return nil }
	for _, p := range []Phase{{Count: 0, InFlight: 1, Do: nothing}, {Count: 1, InFlight: 0, Do: nothing}} {
		if _, err := Run(t.Context(), p); err == nil {
			t.Errorf("Run(%d operations, %d in flight) did not fail", p.Count, p.InFlight)
		}
	}
}
