// Package load runs one operation many times, a fixed number of them in flight,
// and sums up how long each took.
package load

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Phase is one operation to run Count times.
type Phase struct {
	// Count is how many operations there are in all.
	Count int
	// InFlight is how many of them run at a time.
	InFlight int
	// OwnThreads gives every worker an operating system thread of its own, for
	// operations that spend their time in the kernel.
	OwnThreads bool
	// Do is operation i of worker w. An error ends the whole phase.
	Do func(ctx context.Context, w, i int) error
}

// Sample is what a phase took.
type Sample struct {
	// Elapsed is the time from the first operation's start to the last one's end.
	Elapsed time.Duration `json:"elapsed"`
	// Latencies holds the duration of every operation, in the order of i.
	Latencies []time.Duration `json:"latencies"`
}

// PerSecond is the rate over the whole phase.
func (s Sample) PerSecond() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(len(s.Latencies)) / s.Elapsed.Seconds()
}

// Run runs the phase. All workers are started before the clock is.
func Run(ctx context.Context, p Phase) (Sample, error) {
	if p.Count < 1 || p.InFlight < 1 {
		return Sample{}, fmt.Errorf("a phase needs at least one operation and one in flight: got %d and %d", p.Count, p.InFlight)
	}
	latencies := make([]time.Duration, p.Count)
	workers := min(p.InFlight, p.Count)
	start := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	var ready atomic.Int64
	allReady := make(chan struct{})
	for w := range workers {
		group.Go(func() error {
			if p.OwnThreads {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
			}
			if ready.Add(1) == int64(workers) {
				close(allReady)
			}
			<-start
			for {
				i := int(next.Add(1)) - 1
				if i >= p.Count {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				began := time.Now()
				if err := p.Do(ctx, w, i); err != nil {
					return err
				}
				latencies[i] = time.Since(began)
			}
		})
	}
	<-allReady
	began := time.Now()
	close(start)
	if err := group.Wait(); err != nil {
		return Sample{}, err
	}
	return Sample{Elapsed: time.Since(began), Latencies: latencies}, nil
}
