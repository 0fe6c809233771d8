// Package process runs the real hostpath-csi binary for tests, and talks to it
// over its socket as a CO would.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	mountutils "k8s.io/mount-utils"
)

// Options say how to start the driver. The zero value is a driver with one pool in
// temporary directories.
type Options struct {
	// Dir holds socket, state and pool; "": a temporary directory.
	Dir string
	// Tags are build tags, such as "crashtest".
	Tags string
	// Env is added to the environment.
	Env []string
	// Args are added to the command line.
	Args []string
	// Config has the pool declared by a configuration file, which says this, too.
	Config string
	// Pool is added to what the flag --pool says of the pool, such as ",enforcement=none".
	Pool string
	// Metrics has the driver serve them: see Metric.
	Metrics bool
}

// configFile declares the pool at a path.
const configFile = "apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\npools: [{name: default, path: %q}]\n%s\n"

// Driver is a running driver.
type Driver struct {
	csi.IdentityClient
	csi.ControllerClient
	csi.NodeClient
	// Dir holds csi.sock, state/ and pool/.
	Dir string
	// Conn is the connection that the clients use.
	Conn *grpc.ClientConn

	metrics string // address, or ""

	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
	err    error
}

// NodeID is the name of the node that every test driver runs as.
const NodeID = "node-1"

// Start builds the binary, starts it and waits until it serves. The test fails if
// it does not, and ends it.
func Start(t testing.TB, o Options) *Driver {
	t.Helper()
	d := Launch(t, o)
	if err := d.AwaitServing(); err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	return d
}

// Launch starts the binary without waiting until it serves.
func Launch(t testing.TB, o Options) *Driver {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts, and needs root")
	}
	if o.Dir == "" {
		o.Dir = TempDir(t)
	}
	d := &Driver{Dir: o.Dir, log: &logBuffer{}, exited: make(chan struct{})}
	args := append([]string{"standalone", "--endpoint", d.Endpoint(), "--node-id", NodeID,
		"--state-dir", d.StateDir()}, o.Args...)
	if o.Config == "" {
		args = append(args, "--pool", "default="+d.PoolDir()+o.Pool)
	} else {
		file := filepath.Join(d.Dir, "config.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, configFile, d.PoolDir(), o.Config), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	if o.Metrics {
		d.metrics = freeAddress(t)
		args = append(args, "--metrics-address", d.metrics)
	}
	d.cmd = exec.Command(Binary(t, o.Tags), args...)
	d.cmd.Env = append(os.Environ(), o.Env...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.exited)
	}()
	conn, err := grpc.NewClient(d.Endpoint(), d.DialOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	d.Conn = conn
	d.IdentityClient, d.ControllerClient, d.NodeClient = csi.NewIdentityClient(conn), csi.NewControllerClient(conn), csi.NewNodeClient(conn)
	t.Cleanup(func() {
		d.Kill()
		_ = conn.Close()
		if t.Failed() {
			t.Logf("log of the driver:\n%s", d.Log())
		}
	})
	return d
}

// TempDir returns a directory that is removed, with what is mounted beneath it,
// when the test ends. Its path is short enough for a socket's.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		UnmountBeneath(t, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	return dir
}

// Endpoint is the driver's socket, as --endpoint takes it.
func (d *Driver) Endpoint() string { return "unix://" + filepath.Join(d.Dir, "csi.sock") }

// StateDir is the directory of the driver's store.
func (d *Driver) StateDir() string { return filepath.Join(d.Dir, "state") }

// PoolDir is the directory of the driver's pool "default".
func (d *Driver) PoolDir() string { return filepath.Join(d.Dir, "pool") }

// DialOptions are for connections to the driver.
func (d *Driver) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{
		// A driver that is being started serves within milliseconds.
		Backoff:           backoff.Config{BaseDelay: 2 * time.Millisecond, Multiplier: 1.3, Jitter: 0.2, MaxDelay: 50 * time.Millisecond},
		MinConnectTimeout: 5 * time.Second,
	})}
}

// servingTimeout bounds a start.
const servingTimeout = 30 * time.Second

// AwaitServing returns once the driver answers Probe, or with an error once it
// has exited.
func (d *Driver) AwaitServing() error {
	return d.await(func(ctx context.Context) error {
		_, err := d.Probe(ctx, &csi.ProbeRequest{}, grpc.WaitForReady(true))
		return err
	})
}

// AwaitAnswering returns once the driver answers anything, well or not, or with an
// error once it has exited.
func (d *Driver) AwaitAnswering() error {
	return d.await(func(ctx context.Context) error {
		_, err := d.GetPluginInfo(ctx, &csi.GetPluginInfoRequest{}, grpc.WaitForReady(true))
		return err
	})
}

// await calls the driver, which may not be there yet.
func (d *Driver) await(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), servingTimeout)
	defer cancel()
	go func() {
		select {
		case <-d.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := call(ctx)
	select {
	case <-d.exited:
		return fmt.Errorf("the driver exited: %v", d.err)
	default:
		return err
	}
}

// Kill ends the driver with SIGKILL and waits for its end.
func (d *Driver) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// Terminate ends the driver with SIGTERM and returns what it exited with.
func (d *Driver) Terminate() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	<-d.exited
	return d.err
}

// Exited is closed when the process has ended.
func (d *Driver) Exited() <-chan struct{} { return d.exited }

// Err is what the process exited with, once it has.
func (d *Driver) Err() error { return d.err }

// PID is the process ID.
func (d *Driver) PID() int { return d.cmd.Process.Pid }

// Log is what the driver has logged so far.
func (d *Driver) Log() string { return d.log.String() }

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// MountsBeneath lists the mount points beneath dir, deepest and latest first.
func MountsBeneath(t testing.TB, dir string) []string {
	t.Helper()
	all, err := mountutils.New("").List()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range slices.Backward(all) {
		if strings.HasPrefix(m.Path, dir+"/") {
			found = append(found, m.Path)
		}
	}
	return found
}

// UnmountBeneath unmounts everything beneath dir.
func UnmountBeneath(t testing.TB, dir string) {
	t.Helper()
	for _, at := range MountsBeneath(t, dir) {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", at, err)
		}
	}
}
