package suite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/client"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
)

const (
	logFile = "driver.log"
	// patience is how long the driver may take to start, to end, or to come to rest.
	patience = time.Minute
)

// subject is the driver under test, running, and its one caller.
type subject struct {
	process *process.Process
	client  *client.Client
	// ready is how long it took from execution to a Probe that said ready.
	ready time.Duration
	// ctx ends with the run, and with the driver.
	ctx    context.Context
	cancel context.CancelFunc
}

// startSubject starts the driver on what there is in the directory disk, with its
// socket and log in dir.
func startSubject(ctx context.Context, o Options, dir, disk string) (_ *subject, err error) {
	pool, targets := filepath.Join(disk, "pool"), filepath.Join(disk, "targets")
	for _, d := range []string{pool, targets} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	endpoint := "unix://" + filepath.Join(dir, "csi.sock")
	s := &subject{cancel: func() {}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.client, err = client.Dial(client.Options{
		Endpoint: endpoint, Connections: o.Connections, Targets: targets, VolumeSize: o.VolumeSize,
	})
	if err != nil {
		return nil, err
	}
	s.process, err = process.Start(o.Driver, []string{
		"standalone", "--endpoint", endpoint, "--node-id", "bench",
		"--state-dir", filepath.Join(disk, "state"), "--pool", "default=" + pool,
	}, filepath.Join(dir, logFile))
	if err != nil {
		return nil, err
	}
	s.ctx, s.cancel = s.process.Context(ctx)
	ready, cancel := context.WithTimeoutCause(s.ctx, patience, fmt.Errorf("the driver was not ready within %v", patience))
	defer cancel()
	if err := s.client.Ready(ready); err != nil {
		return nil, err
	}
	s.ready = time.Since(s.process.Started)
	return s, s.client.LearnTopology(s.ctx)
}

// settle waits for the driver to come to rest and returns its processor time.
func (s *subject) settle() (float64, error) { return s.process.Settle(s.ctx, patience) }

// close ends the driver, at once if it still runs.
func (s *subject) close() {
	s.cancel()
	if s.client != nil {
		_ = s.client.Close() // nothing is lost with it
	}
	if s.process != nil {
		s.process.Kill()
	}
}
