package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	nodeID    = "demo-node"
	startTime = 15 * time.Second // for starting and stopping: far more than it takes
)

// driver is the process under demonstration and the connection to it.
type driver struct {
	path, socket, stateDir string
	pool                   string // as the flag --pool takes it

	cmd    *exec.Cmd
	exited chan struct{} // closed once the process is gone; cmd.ProcessState tells how
	log    logBuffer
	conn   *grpc.ClientConn
}

func (d *driver) args() []string {
	return []string{"standalone", "--endpoint", "unix://" + d.socket, "--node-id", nodeID,
		"--state-dir", d.stateDir, "--pool", d.pool}
}

// start runs the driver and returns once it answers over its socket.
func (d *driver) start(ctx context.Context) error {
	d.cmd = exec.Command(d.path, d.args()...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	// Ctrl-C is for the demo, which ends the driver itself; and should the demo
	// be killed, so is the driver.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	d.exited = exited
	go func() {
		_ = d.cmd.Wait() // how it ended is in cmd.ProcessState
		close(exited)
	}()

	conn, err := grpc.NewClient("unix://"+d.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	d.conn = conn
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		resp, err := csi.NewIdentityClient(conn).Probe(ctx, &csi.ProbeRequest{})
		if err == nil && (resp.GetReady() == nil || resp.GetReady().GetValue()) {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("the driver ended at once: %v", d.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("the driver does not answer: %w", err)
		case <-time.After(lookEvery):
			conn.ResetConnectBackoff() // there may be a socket by now
		}
	}
}

// kill ends the process as the OOM killer would, and returns once it is gone.
func (d *driver) kill() {
	if d.cmd == nil || d.cmd.Process == nil {
		return
	}
	_ = d.cmd.Process.Kill() // it may be gone already
	<-d.exited
	d.disconnect()
}

// stop asks the process to end, and returns an error if it does not, or not well.
func (d *driver) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-d.exited:
	case <-time.After(startTime):
		return errors.New("the driver does not end on SIGTERM")
	}
	d.disconnect()
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("after SIGTERM the driver ended with %v, not with status 0", d.cmd.ProcessState)
	}
	return nil
}

func (d *driver) disconnect() {
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
}

func (d *driver) logTail() string { return d.log.tail(20) }

// logBuffer collects what the driver writes.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) tail(lines int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Split(strings.TrimRight(l.buf.String(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
