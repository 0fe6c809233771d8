package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/prometheus/procfs"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
)

// WorkerCommand is the hidden command of this program that calls Work.
const WorkerCommand = "store-worker"

// Task is what one process does with one store, which it opens for that.
type Task struct {
	Store string `json:"store"`
	Dir   string `json:"dir"`
	// Fill stores so many records first, and measures nothing if Ops is 0.
	Fill int `json:"fill"`
	// Records is how many were filled in before.
	Records int `json:"records"`
	// Ops is how often to Put, for each number in flight.
	Ops      int   `json:"ops"`
	InFlight []int `json:"inFlight"`
	// First is the number of the first new record.
	First int `json:"first"`
}

// Puts is the rate and latency of durable puts.
type Puts struct {
	InFlight  int     `json:"inFlight"`
	PerSecond float64 `json:"perSecond"`
	P99Millis float64 `json:"p99Millis"`
}

// Measured is what a Task found. What the store does not do is 0.
type Measured struct {
	OpenMillis float64 `json:"openMillis"`
	Puts       []Puts  `json:"puts"`
	GetMicros  float64 `json:"getMicros"`
	ScanMillis float64 `json:"scanMillis"`
	RSS        uint64  `json:"rss"`
	Anonymous  uint64  `json:"anonymous"`
	DiskBytes  int64   `json:"diskBytes"`
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Work does a task.
func Work(ctx context.Context, t Task) (m Measured, err error) {
	began := time.Now()
	s, err := open(t.Store, t.Dir)
	if err != nil {
		return m, err
	}
	m.OpenMillis = millis(time.Since(began))
	defer func() {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	record := func(i int) (k, v []byte) { return key(i), value(i) }
	if t.Fill > 0 {
		if err := s.Fill(t.Fill, record); err != nil {
			return m, err
		}
	}
	if t.Ops == 0 {
		return m, nil
	}
	first := t.First
	for _, n := range t.InFlight {
		keys, values := make([][]byte, t.Ops), make([][]byte, t.Ops)
		for i := range t.Ops {
			keys[i], values[i] = record(first + i)
		}
		first += t.Ops
		sample, err := load.Run(ctx, load.Phase{Count: t.Ops, InFlight: n, Do: func(_ context.Context, _, i int) error {
			return s.Put(keys[i], values[i])
		}})
		if err != nil {
			return m, err
		}
		m.Puts = append(m.Puts, Puts{InFlight: n, PerSecond: sample.PerSecond(), P99Millis: millis(load.Percentile(sample.Latencies, 0.99))})
	}
	if err := m.read(ctx, s, t.Records, first-t.First); err != nil {
		return m, err
	}
	if err := m.look(); err != nil {
		return m, err
	}
	err = s.Close()
	s = nil
	if err != nil {
		return m, err
	}
	m.DiskBytes, err = diskBytes(t.Dir)
	return m, err
}

// read measures Get and Scan of a store that was filled, and in this round was
// given so many more records.
func (m *Measured) read(ctx context.Context, s Store, records, more int) error {
	if records == 0 {
		return nil
	}
	const gets = 10_000
	sample, err := load.Run(ctx, load.Phase{Count: gets, InFlight: 1, Do: func(context.Context, int, int) error {
		return s.Get(key(rand.IntN(records)))
	}})
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	} else if err != nil {
		return err
	}
	m.GetMicros = millis(load.Percentile(sample.Latencies, 0.50)) * 1000
	began := time.Now()
	found, err := s.Scan()
	if err != nil {
		return err
	}
	m.ScanMillis = millis(time.Since(began))
	if found < records+more {
		return fmt.Errorf("the store has %d records; %d were stored", found, records+more)
	}
	return nil
}

// look reads this process's memory.
func (m *Measured) look() error {
	self, err := procfs.Self()
	if err != nil {
		return err
	}
	status, err := self.NewStatus()
	m.RSS, m.Anonymous = status.VmRSS, status.RssAnon
	return err
}

// diskBytes sums up the files under dir.
func diskBytes(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
