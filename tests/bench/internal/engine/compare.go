package engine

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/machine"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
)

// Options say what to compare.
type Options struct {
	// Dir is where the work directory is made; "": os.TempDir().
	Dir string
	// Records is how many records the stores hold, for each part of the comparison.
	Records  []int
	InFlight []int
	Ops      int
	Rounds   int
}

// Default is the whole comparison.
func Default() Options {
	return Options{Records: []int{0, 100_000}, InFlight: []int{1, 8, 32}, Ops: 2000, Rounds: 5}
}

// Comparison is what was found.
type Comparison struct {
	Machine machine.Facts `json:"machine"`
	Stores  []Line        `json:"stores"`
}

// Line is one store with so many records: the medians of all rounds.
type Line struct {
	Store   string `json:"store"`
	Records int    `json:"records"`
	Measured
}

// Compare measures the stores in turns, each in a process of its own.
func Compare(ctx context.Context, o Options, log *log.Logger) (_ *Comparison, err error) {
	if len(o.InFlight) == 0 || slices.Min(o.InFlight) < 1 || len(o.Records) == 0 || slices.Min(o.Records) < 0 || o.Ops < 1 || o.Rounds < 1 {
		return nil, fmt.Errorf("numbers in flight, operations and rounds must be at least 1, records at least 0: got %+v", o)
	}
	dir, err := os.MkdirTemp(o.Dir, "hostpath-csi-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := &Comparison{}
	if c.Machine, err = machine.Look(dir); err != nil {
		return nil, err
	}
	if err := c.Machine.RealDisk(dir); err != nil {
		return nil, err
	}
	for _, records := range o.Records {
		lines, err := compare(ctx, o, filepath.Join(dir, fmt.Sprint(records)), records, log)
		if err != nil {
			return nil, err
		}
		c.Stores = append(c.Stores, lines...)
	}
	return c, nil
}

func compare(ctx context.Context, o Options, dir string, records int, log *log.Logger) ([]Line, error) {
	rounds := map[string][]Measured{}
	for round := range o.Rounds {
		for _, name := range Names() {
			task := Task{Store: name, Dir: filepath.Join(dir, name)}
			if round == 0 {
				log.Printf("%s: storing %d records", name, records)
				if err := os.MkdirAll(task.Dir, 0o700); err != nil {
					return nil, err
				}
				task.Fill = records
				if err := process.Call(ctx, WorkerCommand, task, &Measured{}, os.Stderr); err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				task.Fill = 0
			}
			log.Printf("%s, %d records: round %d of %d", name, records, round+1, o.Rounds)
			task.Records, task.Ops, task.InFlight = records, o.Ops, o.InFlight
			task.First = records + round*o.Ops*len(o.InFlight)
			var m Measured
			err := process.Call(ctx, WorkerCommand, task, &m, os.Stderr)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			rounds[name] = append(rounds[name], m)
		}
	}
	var lines []Line
	for _, name := range Names() {
		lines = append(lines, Line{Store: name, Records: records, Measured: median(rounds[name])})
	}
	return lines, nil
}

// median takes every figure's median.
func median(rounds []Measured) Measured {
	of := func(figure func(Measured) float64) float64 {
		values := make([]float64, len(rounds))
		for i, m := range rounds {
			values[i] = figure(m)
		}
		return load.Median(values)
	}
	m := Measured{
		OpenMillis: of(func(m Measured) float64 { return m.OpenMillis }),
		GetMicros:  of(func(m Measured) float64 { return m.GetMicros }),
		ScanMillis: of(func(m Measured) float64 { return m.ScanMillis }),
		RSS:        uint64(of(func(m Measured) float64 { return float64(m.RSS) })),
		Anonymous:  uint64(of(func(m Measured) float64 { return float64(m.Anonymous) })),
		DiskBytes:  int64(of(func(m Measured) float64 { return float64(m.DiskBytes) })),
	}
	for i, p := range rounds[0].Puts {
		m.Puts = append(m.Puts, Puts{
			InFlight:  p.InFlight,
			PerSecond: of(func(m Measured) float64 { return m.Puts[i].PerSecond }),
			P99Millis: of(func(m Measured) float64 { return m.Puts[i].P99Millis }),
		})
	}
	return m
}
