package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// world is a driver's directory, and what is known of the volumes in it. It outlives
// every driver that is started in it.
type world struct {
	dir       string // of state, pool and socket
	targets   string
	pool      string // what the flag --pool says of it
	volumes   []*volume
	snapshots []*snapshot
	d         *process.Driver // the last that was started
}

// unlimited is a pool that holds no volume to its size, whatever it lies on, which is no
// fault of its volumes.
const unlimited = ",enforcement=none"

// worldBytes is the size of a world's pool.
const worldBytes = 64 << 20

// newWorld makes a world whose pool is a small filesystem of its own, so that every
// byte of it can be accounted for.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := newWorldOnDisk(t)
	pool := filepath.Join(w.dir, "pool")
	if err := os.Mkdir(pool, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", pool, "tmpfs", 0, fmt.Sprint("size=", worldBytes)); err != nil {
		t.Fatal(err)
	}
	return w
}

// newWorldOnDisk makes a world whose pool lies where all temporary files lie.
func newWorldOnDisk(t testing.TB) *world {
	t.Helper()
	dir := process.TempDir(t)
	w := &world{dir: dir, targets: filepath.Join(dir, "targets"), pool: unlimited}
	if err := os.Mkdir(w.targets, 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

// volume returns the volume of that name, of which nothing need be known so far.
func (w *world) volume(name string) *volume {
	for _, v := range w.volumes {
		if v.name == name {
			return v
		}
	}
	v := newVolume(name, filepath.Join(w.targets, name))
	w.volumes = append(w.volumes, v)
	return v
}

// start starts the driver on the world.
func (w *world) start(t testing.TB) *process.Driver {
	t.Helper()
	w.d = process.Start(t, process.Options{Dir: w.dir, Pool: w.pool, Metrics: true})
	return w.d
}

// launchDoomed starts a driver that will kill itself at a step.
func (w *world) launchDoomed(t testing.TB, at string) *process.Driver {
	t.Helper()
	w.d = process.Launch(t, process.Options{Dir: w.dir, Pool: w.pool, Metrics: true, Tags: "crashtest", Env: []string{"HOSTPATH_CSI_CRASH_AT=" + at}})
	return w.d
}

// startDoomed does so and waits until it serves.
func (w *world) startDoomed(t testing.TB, at string) *process.Driver {
	t.Helper()
	d := w.launchDoomed(t, at)
	if err := d.AwaitServing(); err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	return d
}

// awaitDeath fails the test unless the driver dies of the step it is to die at.
func awaitDeath(t testing.TB, d *process.Driver, at string) {
	t.Helper()
	select {
	case <-d.Exited():
	case <-time.After(20 * time.Second):
		t.Fatalf("step %s was never reached", at)
	}
	if err := d.WasKilled(); err != nil {
		t.Fatalf("step %s: %v", at, err)
	}
}

// must asks for operations on a volume that have to succeed.
func (w *world) must(t testing.TB, v *volume, operations ...string) {
	t.Helper()
	for _, o := range operations {
		if err := v.do(w.d, o); err != nil {
			t.Fatal(err)
		}
	}
}

// complaint finds errors in the driver's log: whatever a crash leaves is ordinary,
// and nothing that an operator should be told as one.
var complaint = regexp.MustCompile(`(?m)^E\d{4} .*$`)

// check compares the world with what is known of it, once the driver has done all
// that it does by itself after a start.
func (w *world) check(t testing.TB) {
	t.Helper()
	if err := w.compare(t); err != nil {
		t.Fatal(err)
	}
	if complaints := complaint.FindAllString(w.d.Log(), -1); len(complaints) > 0 {
		t.Fatalf("the driver's log has errors:\n%s", strings.Join(complaints, "\n"))
	}
}

func (w *world) compare(t testing.TB) error {
	t.Helper()
	var metrics map[string]float64
	process.Eventually(t, "the driver has nothing to do", func() (err error) {
		metrics, err = w.d.Settled()
		return err
	})
	listed, err := w.d.List()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	mounts := mountsAt(t, w.targets)
	for _, v := range w.volumes {
		known[v.name] = true
		if err := v.look(w.d, listed, mounts); err != nil {
			return err
		}
	}
	for id := range listed {
		if !known[id] {
			return fmt.Errorf("volume %s is listed, and nobody asked for it", id)
		}
	}
	for _, m := range mounts {
		if !targetsOf(w.volumes)[m] {
			return fmt.Errorf("something is mounted at %s", m)
		}
	}
	if err := process.SameNames(t, filepath.Join(w.d.PoolDir(), "volumes"), namesOf(w.volumes, false)...); err != nil {
		return err
	}
	if err := process.SameNames(t, filepath.Join(w.d.PoolDir(), "images"), namesOf(w.volumes, true)...); err != nil {
		return err
	}
	wantClaims, claims := w.compareClaims(t)
	if !slices.Equal(wantClaims, claims) {
		return fmt.Errorf("claims/ is to hold %q, and holds %q", wantClaims, claims)
	}
	if err := w.compareDevices(t); err != nil {
		return err
	}
	snapshots, err := w.compareSnapshots(t)
	if err != nil {
		return err
	}
	if err := process.SameNames(t, filepath.Join(w.d.PoolDir(), ".tmp")); err != nil {
		return err
	}
	process.Eventually(t, "the trash is empty", func() error {
		return process.SameNames(t, filepath.Join(w.d.PoolDir(), ".trash"))
	})
	process.Eventually(t, "the pool is accounted for", func() error {
		if metrics, err = w.d.Settled(); err != nil {
			return err
		}
		want := map[string]float64{
			"hostpath_csi_pool_allocated_bytes": float64(sum(w.volumes) + snapshots),
			"hostpath_csi_pool_volumes":         float64(len(namesOf(w.volumes, false)) + len(namesOf(w.volumes, true)) + len(wantClaims)/2),
			"hostpath_csi_pool_orphans":         0,
			"hostpath_csi_pool_usable":          1,
		}
		has := maps.Clone(metrics)
		maps.DeleteFunc(has, func(name string, _ float64) bool { _, wanted := want[name]; return !wanted })
		if !maps.Equal(has, want) {
			return fmt.Errorf("metrics are %v, and are to be %v", has, want)
		}
		return nil
	})
	return nil
}

// end deletes everything as a CO does, and checks that nothing is left.
func (w *world) end(t testing.TB) {
	t.Helper()
	for _, v := range w.volumes {
		w.must(t, v, "unpublish")
		w.must(t, v, "delete")
	}
	for _, s := range w.snapshots {
		if err := s.remove(w.d); err != nil {
			t.Fatal(err)
		}
	}
	w.check(t)
}

// isFree checks that as much can be had as in the beginning.
func (w *world) isFree(t testing.TB, free int64) {
	t.Helper()
	process.Eventually(t, "all capacity is back", func() error {
		now, err := w.d.Free()
		if err == nil && now != free {
			err = fmt.Errorf("GetCapacity tells %d, not %d as at the beginning", now, free)
		}
		return err
	})
}

// free returns what is free in the beginning.
func (w *world) free(t testing.TB) int64 {
	t.Helper()
	var free int64
	process.Eventually(t, "the driver tells a capacity", func() (err error) {
		free, err = w.d.Free()
		if err == nil && free == 0 {
			err = errors.New("it is 0")
		}
		return err
	})
	return free
}

// mountsAt lists the mounts beneath dir.
func mountsAt(t testing.TB, dir string) []string {
	t.Helper()
	return process.MountsBeneath(t, dir)
}

// stats returns an error unless the driver counts the volume at its target.
func stats(d *process.Driver, id, target string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	resp, err := d.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
	if err == nil && len(resp.GetUsage()) == 0 {
		err = errors.New("no usage")
	}
	if err != nil {
		return fmt.Errorf("counting volume %s at %s: %w", id, target, err)
	}
	return nil
}

// nth is how HOSTPATH_CSI_CRASH_AT names the nth time that a step is reached.
func nth(step crash.Name, n int) string { return fmt.Sprintf("%s:%d", step, n) }
