package mount

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestWhatIsMountedIsInUse(t *testing.T) {
	w := newWorld(t)
	w.mkdir(filepath.Join(w.pool, "volumes", "a b", "within"))
	w.mkdir(filepath.Join(w.pool, "volumes", "a b c"))
	target := w.target("t")
	w.mkdir(target)
	unused := func(path string, want state.Reason, when string) {
		t.Helper()
		if err := Unused(w.pool, path); state.ReasonOf(err) != want {
			t.Errorf("%s: of %q it says %v", when, path, err)
		}
	}
	unused("volumes/a b", "", "with nothing mounted")
	for when, m := range map[string][2]string{
		"shown elsewhere":         {"volumes/a b", target},
		"a part shown elsewhere":  {"volumes/a b/within", target},
		"something in it":         {target, "volumes/a b/within"},
		"something at its place":  {target, "volumes/a b"},
		"itself at its own place": {"volumes/a b", "volumes/a b"},
	} {
		for i, path := range m {
			if !filepath.IsAbs(path) {
				m[i] = filepath.Join(w.pool, path)
			}
		}
		if err := unix.Mount(m[0], m[1], "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		unused("volumes/a b", state.InUse, when)
		unused("volumes/a b c", "", when)
		if err := unix.Unmount(m[1], 0); err != nil {
			t.Fatal(err)
		}
	}
	unused("volumes/a b", "", "with nothing mounted any more")
	unused("volumes/none", state.Defect, "of nothing")
}

func TestAnImageWithALoopDeviceIsInUse(t *testing.T) {
	w := newWorld(t)
	w.mkdir(filepath.Join(w.pool, "images"))
	w.mkdir(filepath.Join(w.pool, "volumes", "v"))
	for _, path := range []string{"images/i", "volumes/v/image"} {
		if err := os.WriteFile(filepath.Join(w.pool, path), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, of := range map[string]string{"images/i": "images/i", "volumes/v/image": "volumes/v"} {
		if err := Unused(w.pool, of); err != nil {
			t.Errorf("%s: %v", of, err)
		}
		device := w.run("losetup", "--find", "--show", filepath.Join(w.pool, path))
		if err := Unused(w.pool, of); state.ReasonOf(err) != state.InUse {
			t.Errorf("%s has device %s: %v", of, device, err)
		}
		w.run("losetup", "-d", device)
	}
}
