package suite

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/client"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// populateInFlight is how many volumes are created at a time to make them many.
const populateInFlight = 32

// populate creates volumes through the socket until there are so many.
func (s *suite) populate(from, to int) error {
	if to == from {
		return nil
	}
	before, err := s.driver.process.CPU()
	if err != nil {
		return err
	}
	var done atomic.Int64
	stop := s.progress(fmt.Sprintf("creating volumes %d to %d", from, to), &done, to-from)
	sample, err := load.Run(s.driver.ctx, load.Phase{Count: to - from, InFlight: populateInFlight, Do: func(ctx context.Context, w, i int) error {
		defer done.Add(1)
		return s.driver.client.Create(ctx, w, &client.Volume{Name: fmt.Sprintf("e-%07d", from+i)})
	}})
	stop()
	if err != nil {
		return err
	}
	after, err := s.driver.settle()
	if err != nil {
		return err
	}
	s.result.Populations = append(s.result.Populations, report.Population{
		From: from, To: to, InFlight: populateInFlight,
		Seconds: sample.Elapsed.Seconds(), PerSecond: sample.PerSecond(), CPUSeconds: after - before,
	})
	if err := s.sync(); err != nil {
		return err
	}
	return s.recordMemory(report.Populated, to)
}

// progress logs how far something long has come, until the returned function is called.
func (s *suite) progress(what string, done *atomic.Int64, of int) (stop func()) {
	const often = 5 * time.Second
	ticker, end := time.NewTicker(often), make(chan struct{})
	began := time.Now()
	s.log.Print(what)
	go func() {
		for {
			select {
			case <-ticker.C:
				n := done.Load()
				s.log.Printf("%s: %d of %d, %.0f a second", what, n, of, float64(n)/time.Since(began).Seconds())
			case <-end:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(end) }
}
