package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// withImage gives the world's pool an image of 320 MiB. It does not lie on the world's
// disk: what was unmounted lazily stays open as long as the process.
func (w *world) withImage() *disk.Disk {
	d := &disk.Disk{Image: filepath.Join(w.TempDir(), "img"), SizeBytes: 320 * mib, Filesystem: "btrfs", Provisioning: state.Thin}
	w.o.Pools[0].Disk = d
	w.Cleanup(func() {
		for unix.Unmount(w.in(), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
		}
	})
	return d
}

func TestThePoolInAnImageIsMountedAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withImage()
		w.start()
		if st := w.status(); st.Filesystem != "btrfs" || !st.EnforcesLimits || !st.Usable() {
			t.Fatalf("the pool is told as %+v", st)
		}
		if v := w.create("a", 10*mib); !v.Status.Enforced {
			t.Errorf("the volume is told as %+v", v.Status)
		}
		// Whatever took it away, while it works and while it does not.
		w.must(unix.Unmount(w.in(), unix.MNT_DETACH))
		w.pass(3 * inspectEvery)
		if _, err := os.Stat(w.in("volumes", "a")); err != nil || !w.status().Usable() {
			t.Errorf("after a lazy unmount: %v, %+v", err, w.status())
		}
		w.stop()
		w.must(unix.Unmount(w.in(), 0))
		w.start()
		if _, err := os.Stat(w.in("volumes", "a")); err != nil || !w.status().Usable() {
			t.Errorf("after an unmount: %v, %+v", err, w.status())
		}
		w.delete("a")
	})
}

func TestAPoolWhoseImageIsMissingIsRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.withImage()
		w.start()
		w.create("a", 10*mib)
		w.stop()
		w.must(errors.Join(unix.Unmount(w.in(), 0), os.Rename(d.Image, d.Image+".away")))
		w.start()
		w.wantUnusable("PoolRefused", "is not there, though its pool was here")
		if _, err := os.Stat(d.Image); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the image was made again: %v", err)
		}
		w.must(os.Rename(d.Image+".away", d.Image))
		w.pass(2 * inspectEvery)
		if _, err := os.Stat(w.in("volumes", "a")); err != nil || !w.status().Usable() {
			t.Errorf("with its image back: %v, %+v", err, w.status())
		}
	})
}

func TestAnImageGrowsWhenItIsDeclaredLarger(t *testing.T) {
	inWorld(t, func(w *world) {
		d := w.withImage()
		w.start()
		declare := func(size int64) {
			o, changed := w.o.Pools[0], *d
			changed.SizeBytes = size
			o.Disk = &changed
			w.agent.Configure(w.Context(), []PoolOptions{o})
		}
		before := w.status().Usage.TotalBytes
		declare(400 * mib)
		if got := w.status().Usage.TotalBytes - before; got != 80*mib {
			t.Errorf("declared 80 MiB larger, the pool has %d bytes more", got)
		}
		declare(350 * mib) // which is refused, and changes nothing
		if got := w.status().Usage.TotalBytes - before; got != 80*mib || !w.status().Usable() {
			t.Errorf("declared smaller, the pool is told as %+v", w.status())
		}
		if v := w.create("a", 300*mib); v.Status.Phase != state.Ready {
			t.Errorf("a volume that has room by now is told as %+v", v.Status)
		}
	})
}

func TestADiskThatTakesNoWritesTakesNoVolumes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.withImage()
		w.start()
		w.create("a", mib)
		filesystem.Remount(t, w.in(), unix.MS_RDONLY) // as btrfs does by itself
		w.pass(2 * inspectEvery)
		if st := w.status(); !st.Usable() || !strings.Contains(st.Cordoned, "read-only") {
			t.Errorf("the pool is told as %+v", st)
		}
		if v := w.create("b", mib); v.Status.Reason != state.NoSpace || !strings.Contains(v.Status.Message, "has become read-only") {
			t.Errorf("a volume is told as %+v", v.Status)
		}
		filesystem.Remount(t, w.in(), 0)
		w.pass(2 * inspectEvery)
		if v := w.create("c", mib); v.Status.Phase != state.Ready {
			t.Errorf("a volume is told as %+v", v.Status)
		}
	})
}

// A pool that was a directory does not become an empty image.
func TestAnImageIsNotMadeOverAPool(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", mib)
		w.stop()
		w.withImage()
		w.start()
		w.wantUnusable("PoolRefused", "is not there, though its pool was here")
		w.stop()
		w.o.Pools[0].Disk = nil
		w.start()
		w.wantUsable()
	})
}

func TestTheLeastSizesAgree(t *testing.T) {
	if config.MinImageBytes != disk.MinBytes {
		t.Errorf("the configuration takes %d bytes, the disk %d", config.MinImageBytes, int64(disk.MinBytes))
	}
}
