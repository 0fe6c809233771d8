// The demo drives the real driver over its real socket, as a container
// orchestrator would, and tells in plain words what happens. Everything it claims
// it has looked at; it ends with status 1 if something was not as claimed.
//
//	make demo
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	driverPath := flag.String("driver", "bin/hostpath-csi", "the driver's binary")
	flag.Parse()
	os.Exit(run(*driverPath))
}

func run(driverPath string) (status int) {
	out := newPrinter(os.Stdout)
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, `The demo mounts volumes, as a node's driver does, and needs root for that:

	sudo env "PATH=$PATH" make demo

(A user namespace does not do: a volume's record is an attribute that only real root may set.)`)
		return 1
	}
	// The driver dies with the thread that started it (Pdeathsig): keep that thread.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	d, err := newDemo(out, driverPath)
	if err != nil {
		out.failure(err)
		return 1
	}
	out.where(d.root)
	begin := time.Now()
	err = d.play(ctx)
	took := time.Since(begin)
	switch {
	case ctx.Err() != nil:
		out.failure(errors.New("interrupted; everything is being removed"))
		status = 1
	case err != nil:
		out.failure(err)
		out.log(d.driver.logTail())
		status = 1
	}
	if err := d.cleanUp(); err != nil {
		out.failure(fmt.Errorf("cleaning up: %w", err))
		status = 1
	}
	if status == 0 {
		out.end(fmt.Sprintf("All %d steps went as they should, in %.1f s; DIR is removed.", len(steps), took.Seconds()))
	}
	return status
}

// demo is the state of one run: a temporary directory with everything in it.
type demo struct {
	out    *printer
	driver *driver

	root   string // everything lies beneath
	pool   string // the volumes
	image  string // the file that the pool lies in
	target string // where the volume is to appear for its pod

	volumeID  string
	volumeCtx map[string]string
	capacity  int64  // as the driver answered last
	sum       string // SHA-256 of what the pod wrote

	snapshotID  string
	snapshotSum string // of what it had written when the snapshot was taken
}

func newDemo(out *printer, driverPath string) (*demo, error) {
	driverPath, err := filepath.Abs(driverPath)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(driverPath); err != nil {
		return nil, fmt.Errorf("no driver there (make build): %w", err)
	}
	root, err := os.MkdirTemp("", "hostpath-csi-demo-")
	if err != nil {
		return nil, err
	}
	// The kernel tells of mounts by their real paths.
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	d := &demo{
		out:    out,
		root:   root,
		pool:   filepath.Join(root, "pool"),
		image:  filepath.Join(root, "pool.img"),
		target: filepath.Join(root, "pod", "data"),
	}
	d.driver = &driver{
		path:     driverPath,
		socket:   filepath.Join(root, "csi.sock"),
		stateDir: filepath.Join(root, "state"),
		pool:     fmt.Sprintf("default=%s,image=%s,size=1Gi,filesystem=btrfs,provisioning=thin,enforcement=required", d.pool, d.image),
	}
	for _, dir := range []string{d.pool, d.driver.stateDir, filepath.Dir(d.target)} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, errors.Join(err, os.RemoveAll(root))
		}
	}
	return d, nil
}

// cleanUp leaves the machine as it was, wherever the demo stopped.
func (d *demo) cleanUp() error {
	d.driver.kill()
	mounted, err := mountsBeneath(d.root)
	if err != nil {
		return err // without knowing what is mounted, removing could reach beyond
	}
	for _, m := range mounted {
		if err := unix.Unmount(m, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	return os.RemoveAll(d.root)
}
