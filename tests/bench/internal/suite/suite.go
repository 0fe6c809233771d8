package suite

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/floor"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// suite is one run.
type suite struct {
	Options
	dir    string // holds everything, and is removed in the end
	disk   string // what is measured on: dir, or a filesystem of its own in it
	log    *log.Logger
	floor  *floor.Client
	driver *subject
	result *report.Result
}

// Run measures the driver and tells log how it gets on. Nothing is left behind,
// however it ends: no process, no mount, no file. What was measured before an error
// is returned with it.
func Run(ctx context.Context, o Options, log *log.Logger) (result *report.Result, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	dir, facts, remove, err := workDir(o.Dir, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	s := &suite{Options: o, dir: dir, disk: dir, log: log, result: &report.Result{Machine: facts}}
	if o.Filesystem != "" {
		s.disk = filepath.Join(dir, "disk")
		unmount, err := mountImage(o.Filesystem, filepath.Join(dir, "image"), s.disk, o.ImageSize, nil)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, unmount()) }()
		s.result.Machine.Filesystem = fmt.Sprintf("%s in an image on %s", o.Filesystem, facts.Filesystem)
	} else if facts.NoJournal() {
		log.Print("this ext4 has no journal: mkdir slows down with every rmdir of the last minutes, for floor and driver alike; --filesystem ext4 makes one that has")
	}
	if s.floor, err = floor.Start(filepath.Join(s.disk, "floor")); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.floor.Close()) }()
	defer func() { // also of the process that a restart put in its place
		if s.driver != nil {
			s.driver.close()
		}
	}()
	if err := s.run(ctx); ctx.Err() != nil {
		return s.result, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	} else if err != nil {
		return s.result, errors.Join(err, s.driverLog())
	}
	s.result.Judge()
	return s.result, nil
}

// run is the whole run, in order.
func (s *suite) run(ctx context.Context) error {
	var err error
	if s.driver, err = startSubject(ctx, s.Options, s.dir, s.disk); err != nil {
		return err
	}
	s.result.Starts = append(s.result.Starts, report.Start{ReadySeconds: s.driver.ready.Seconds()})
	if s.result.Driver, err = s.driver.client.Version(ctx); err != nil {
		return err
	}
	s.log.Printf("%s, in %s", s.result.Driver, s.dir)
	if err := s.recordMemory(report.Idle, 0); err != nil {
		return err
	}
	if err := s.warmUp(); err != nil {
		return err
	}
	existing := 0
	for _, n := range s.Existing {
		if err := s.populate(existing, n); err != nil {
			return err
		}
		existing = n
		for _, inFlight := range s.InFlight {
			if err := s.measure(existing, inFlight); err != nil {
				return err
			}
		}
		if err := s.recordMemory(report.AfterLoad, existing); err != nil {
			return err
		}
		if err := s.restart(ctx, existing); err != nil {
			return err
		}
	}
	_, err = s.driver.process.Stop(patience)
	return err
}

// warmUp does a little of everything, unmeasured: connections are made, caches
// filled, the first of everything is made.
func (s *suite) warmUp() error {
	few := *s
	few.Ops, few.Rounds, few.result = min(s.Ops, 64), 1, &report.Result{}
	return few.measure(0, slices.Max(s.InFlight))
}

// recordMemory writes down what the driver has in memory once it is at rest.
func (s *suite) recordMemory(when string, existing int) error {
	if _, err := s.driver.settle(); err != nil {
		return err
	}
	m, err := s.driver.process.Memory()
	if err != nil {
		return err
	}
	s.result.Memory = append(s.result.Memory, report.Memory{When: when, Existing: existing, Memory: m})
	return nil
}

// sync writes out what is waiting to be written, so that one part of the run does
// not pay for another.
func (s *suite) sync() error {
	dir, err := os.Open(s.disk)
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Syncfs(int(dir.Fd()))
}

// driverLog returns the end of the driver's log as an error, to tell why it failed.
func (s *suite) driverLog() error {
	const most = 16 << 10 // enough for why it panicked
	out, err := os.ReadFile(filepath.Join(s.dir, logFile))
	if err != nil || len(out) == 0 {
		return err
	}
	return fmt.Errorf("the driver's log ends with:\n%s", out[max(0, len(out)-most):])
}
