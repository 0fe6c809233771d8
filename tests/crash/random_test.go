package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rounds is how many times TestKilledAtRandom kills the driver.
func rounds(t *testing.T) int {
	t.Helper()
	given := os.Getenv("CRASH_ROUNDS")
	if given == "" {
		return 10
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 {
		t.Fatalf("CRASH_ROUNDS is %q; it takes a number of rounds", given)
	}
	return n
}

// TestKilledAtRandom has several clients do whatever comes to their minds while the
// driver is killed at any instant, again and again on the same disk. After every
// start, all that was answered is there and the rest is one thing or the other.
// CRASH_ROUNDS says how often; CRASH_SEED repeats what was done before.
func TestKilledAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("CRASH_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("CRASH_SEED: %v", err)
		}
	}
	t.Logf("CRASH_SEED=%d", seed)
	w := newWorldOnDisk(t)
	for client := range clients {
		for i := range volumesEach {
			w.volume(fmt.Sprintf("client-%d-volume-%d", client, i)).block = i%2 == 1
		}
		w.snapshot(fmt.Sprintf("client-%d-snapshot", client), w.volume(fmt.Sprintf("client-%d-volume-%d", client, client%volumesEach))).recorded = true
	}
	random := rand.New(rand.NewPCG(seed, 0))
	n := rounds(t)
	for round := range n {
		// A driver's log is shown if its own round fails.
		if !t.Run(fmt.Sprint("round ", round), func(t *testing.T) { randomRound(t, w, random, seed) }) {
			t.FailNow()
		}
	}
	t.Run("at the end", func(t *testing.T) {
		w.start(t)
		w.check(t)
		w.end(t)
	})
}

const (
	clients     = 6
	volumesEach = 3
)

func randomRound(t *testing.T, w *world, random *rand.Rand, seed uint64) {
	if random.IntN(5) == 0 {
		// Killed while it starts; nobody has called it.
		d := w.launchDoomed(t, "")
		waitAtMost(d.Exited(), time.Duration(random.IntN(30))*time.Millisecond)
		d.Kill()
	}
	d := w.start(t)
	w.check(t)
	after := time.Duration(random.ExpFloat64() * 30 * float64(time.Millisecond))
	kill := time.AfterFunc(min(after, 200*time.Millisecond), func() { d.Kill() })
	defer kill.Stop()
	var all sync.WaitGroup
	for c := range clients {
		mine, snap := w.volumes[c*volumesEach:(c+1)*volumesEach], w.snapshots[c]
		r := rand.New(rand.NewPCG(seed, random.Uint64()))
		all.Go(func() {
			for {
				v := mine[r.IntN(len(mine))]
				todo := v.next()
				do := func() error { return v.do(d, todo[r.IntN(len(todo))]) }
				if r.IntN(8) == 0 {
					do = func() error { return snap.next(d) }
				}
				if err := do(); err != nil {
					<-d.Exited() // or the test ends with the driver's log, after its time
					if code := status.Code(err); code != codes.Unavailable && code != codes.Canceled {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	all.Wait()
}

func waitAtMost(done <-chan struct{}, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
