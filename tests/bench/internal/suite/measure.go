package suite

import (
	"context"
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/client"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/floor"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// step is one phase of a round: an operation, and the floor beside it, if it has one.
type step struct {
	operation string
	floor     floor.Operation
	// volumes is what the floor works on; of the same names as the driver's.
	volumes []*client.Volume
	count   int
	do      func(ctx context.Context, w, i int) error
}

// measure does all rounds with so many volumes existing and so many calls in flight.
func (s *suite) measure(existing, inFlight int) error {
	var series []*report.Series
	for round := range s.Rounds {
		s.log.Printf("%d volumes existing, %d in flight: round %d of %d", existing, inFlight, round+1, s.Rounds)
		if err := s.sync(); err != nil {
			return err
		}
		for i, step := range s.steps(fmt.Sprintf("b-%d-%d-%d", existing, inFlight, round), inFlight) {
			if round == 0 {
				series = append(series, &report.Series{Operation: step.operation, Existing: existing, InFlight: inFlight})
			}
			if err := s.pair(series[i], step); err != nil {
				return err
			}
		}
	}
	for _, one := range series {
		if one.Operation == report.EmptyCall {
			for _, other := range series {
				other.Compare(one)
			}
		}
	}
	for _, one := range series {
		s.result.Rows = append(s.result.Rows, one.Row())
	}
	return nil
}

// pair does one step: the floor, then the driver, then rest.
func (s *suite) pair(to *report.Series, step step) error {
	var bare load.Sample
	var err error
	if step.floor != "" {
		if bare, err = s.floor.Run(step.floor, client.Names(step.volumes), step.count, to.InFlight); err != nil {
			return err
		}
	}
	before, err := s.driver.process.CPU()
	if err != nil {
		return err
	}
	sample, err := load.Run(s.driver.ctx, load.Phase{Count: step.count, InFlight: to.InFlight, Do: step.do})
	if err != nil {
		return err
	}
	after, err := s.driver.settle()
	if err != nil {
		return err
	}
	to.Add(sample, bare.PerSecond(), after-before)
	return nil
}

// steps is one round. Its volumes are named after it and gone when it ends.
func (s *suite) steps(name string, inFlight int) []step {
	c := s.driver.client
	lives, cycles := volumes(name, s.Ops), volumes(name+"-c", max(s.Ops/2, inFlight))
	each := func(vols []*client.Volume, do func(context.Context, int, *client.Volume) error) func(context.Context, int, int) error {
		return func(ctx context.Context, w, i int) error { return do(ctx, w, vols[i%len(vols)]) }
	}
	walk := c.List(inFlight)
	// What only reads is done more often, so that it takes long enough to be measured.
	reads, pages := 4*s.Ops, max(s.Ops/5, 2*inFlight)
	return []step{
		{report.Create, floor.Create, lives, len(lives), each(lives, c.Create)},
		{report.CreateAgain, "", nil, len(lives), each(lives, c.Create)},
		{report.Publish, floor.Publish, lives, len(lives), each(lives, c.Publish)},
		{report.EmptyCall, "", nil, reads, func(ctx context.Context, w, _ int) error { return c.Empty(ctx, w) }},
		{report.Stats, floor.Stats, lives, reads, each(lives, c.Stats)},
		{report.List, "", nil, pages, func(ctx context.Context, w, _ int) error {
			_, _, err := walk.Page(ctx, w)
			return err
		}},
		{report.Expand, "", nil, len(lives), each(lives, c.Expand)},
		{report.Unpublish, floor.Unpublish, lives, len(lives), each(lives, c.Unpublish)},
		{report.Delete, floor.Delete, lives, len(lives), each(lives, c.Delete)},
		{report.Cycle, floor.Cycle, cycles, len(cycles), each(cycles, c.Cycle)},
	}
}

// volumes returns n volumes to be, with names that begin with prefix.
func volumes(prefix string, n int) []*client.Volume {
	vols := make([]*client.Volume, n)
	for i := range vols {
		vols[i] = &client.Volume{Name: fmt.Sprintf("%s-%06d", prefix, i)}
	}
	return vols
}
