package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// What a pool's own disk goes through: making it, and growing it.
var (
	makeImageSteps  = []crash.Name{crash.DiskAllocated, crash.DiskFormatted, crash.DiskPlaced, crash.DiskAttached, crash.DiskMounted, crash.PoolMarked}
	makeDeviceSteps = []crash.Name{crash.DiskClaimed, crash.DiskFormatted, crash.DiskMounted}
	growSteps       = []crash.Name{crash.DiskExtended, crash.DiskGrown}
	diskSteps       = append(append(append([]crash.Name{}, makeImageSteps...), makeDeviceSteps...), growSteps...)
)

// newWorldInImage makes a world whose pool is an image of so many MiB.
func newWorldInImage(t testing.TB, kind string, mib int) *world {
	t.Helper()
	w := newWorldOnDisk(t)
	w.declareImage(kind, mib)
	return w
}

func (w *world) image() string { return filepath.Join(w.dir, "pool.img") }

func (w *world) declareImage(kind string, mib int) {
	w.pool = fmt.Sprintf("%s,image=%s,size=%dMi,filesystem=%s,provisioning=thin", unlimited, w.image(), mib, kind)
}

// wantImage checks that the image is there, once, with one loop device, and no more.
func (w *world) wantImage(t testing.TB, mib int) {
	t.Helper()
	if err := process.SameNames(t, w.dir, "csi.sock", "pool", "pool.img", "state", "targets"); err != nil {
		t.Error(err)
	}
	if devices := process.LoopDevicesOf(t, w.dir); len(devices) != 1 {
		t.Errorf("loop devices of the image: %q", devices)
	}
	if st, err := os.Stat(w.image()); err != nil || st.Size() != int64(mib)<<20 {
		t.Errorf("the image is to have %d MiB, and has %+v, %v", mib, st, err)
	}
}

// TestKilledWhileItMakesADisk kills the driver in the midst of its first start. The next
// one goes on, and leaves nothing of the first attempt.
func TestKilledWhileItMakesADisk(t *testing.T) {
	for _, kind := range []string{"btrfs", "xfs"} {
		for _, step := range makeImageSteps {
			t.Run(fmt.Sprintf("%s in an image, at %s", kind, step), func(t *testing.T) {
				t.Parallel()
				w := newWorldInImage(t, kind, 320)
				w.madeInSpite(t, step)
				w.wantImage(t, 320)
			})
		}
		for _, step := range makeDeviceSteps {
			t.Run(fmt.Sprintf("%s on a device, at %s", kind, step), func(t *testing.T) {
				t.Parallel()
				w := newWorldOnDisk(t)
				disk := filepath.Join(filepath.Dir(w.dir), filepath.Base(w.dir)+".disk")
				t.Cleanup(func() { _ = os.Remove(disk) })
				run(t, "truncate", "--size", "512M", disk)
				device := run(t, "losetup", "--find", "--show", disk)
				t.Cleanup(func() {
					process.UnmountBeneath(t, w.dir)
					run(t, "losetup", "--detach", device)
				})
				w.pool = fmt.Sprintf("%s,device=%s,filesystem=%s", unlimited, device, kind)
				w.madeInSpite(t, step)
			})
		}
	}
}

// madeInSpite kills a driver at its first start, and has the next one live a life.
func (w *world) madeInSpite(t *testing.T, step crash.Name) {
	t.Helper()
	awaitDeath(t, w.launchDoomed(t, string(step)), string(step))
	w.start(t)
	v := w.volume("first")
	// No start before has told of the node's pools: until this one has, no node is known.
	process.Eventually(t, "the first volume is created", func() error { return v.do(w.d, "create") })
	w.must(t, v, "publish", "write")
	w.check(t)
	w.d.Kill()
	w.start(t)
	w.check(t)
	w.must(t, v, "write", "expand")
	w.check(t)
	w.end(t)
}

// TestKilledWhileItGrowsADisk kills a driver whose image was declared larger.
func TestKilledWhileItGrowsADisk(t *testing.T) {
	for _, kind := range []string{"btrfs", "xfs"} {
		for _, step := range growSteps {
			t.Run(fmt.Sprintf("%s, at %s", kind, step), func(t *testing.T) {
				t.Parallel()
				w := newWorldInImage(t, kind, 320)
				w.start(t)
				before := w.free(t)
				v := w.volume("kept")
				w.must(t, v, "create", "publish", "write")
				w.d.Kill()
				w.declareImage(kind, 600)
				awaitDeath(t, w.launchDoomed(t, string(step)), string(step))
				w.start(t)
				w.check(t)
				w.wantImage(t, 600)
				w.must(t, v, "write", "unpublish", "delete")
				if grown := w.free(t) - before; grown < 250<<20 {
					t.Errorf("grown by 280 MiB, %d more can be had", grown)
				}
				w.end(t)
			})
		}
	}
}
