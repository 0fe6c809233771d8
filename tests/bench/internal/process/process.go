// Package process runs the driver as an operator would, and reads what it costs.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Isolated gives a child process a mount namespace of its own, in which it is
// free to mount and which ends with it, and makes the kernel kill it should this
// process die first. A Ctrl-C at the terminal reaches this process alone, which
// then ends its children in order.
func Isolated() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
		Setpgid:      true,
	}
}

// Process is a running program.
type Process struct {
	// Started is when it was executed.
	Started time.Time
	cmd     *exec.Cmd
	exited  chan struct{}
	err     error // once exited is closed
}

// Start executes the program with its output appended to the file log.
func Start(path string, args []string, log string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = Isolated()
	p := &Process{Started: time.Now(), cmd: cmd, exited: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the driver: %w", err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// PID is the process's ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Context returns a context that also ends when the process does, with a cause
// that says so.
func (p *Process) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.exited:
			cancel(fmt.Errorf("the driver ended by itself: %w", p.exitError()))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Stop ends the process by SIGTERM and returns how long that took. After
// patience it is killed, which is an error, as is any exit code but 0.
func (p *Process) Stop(patience time.Duration) (time.Duration, error) {
	began := time.Now()
	// An error means that it has ended already: the exit code tells.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return time.Since(began), fmt.Errorf("the driver did not end within %v of SIGTERM and was killed", patience)
	}
	if p.err != nil {
		return time.Since(began), fmt.Errorf("the driver, ended by SIGTERM: %w", p.err)
	}
	return time.Since(began), nil
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

func (p *Process) exitError() error {
	if p.err == nil {
		return errors.New("exit code 0")
	}
	return p.err
}
