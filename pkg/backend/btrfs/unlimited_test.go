package btrfs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// room writes to a volume until it is refused, or until there are so many bytes.
func room(t *testing.T, b *Backend, id string, most int) (bytes int) {
	t.Helper()
	f, err := os.Create(filepath.Join(b.Path(), "volumes", id, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 1<<20)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	for bytes < most {
		n, err := f.Write(chunk)
		bytes += n
		if err = errors.Join(err, f.Sync()); err != nil {
			if !errors.Is(err, unix.EDQUOT) {
				t.Error(err)
			}
			return bytes
		}
	}
	return bytes
}

func newVolume(t *testing.T, b *Backend, id string) state.Volume {
	t.Helper()
	v := state.Volume{Meta: state.Meta{ID: id, UID: "0" + id},
		Spec: state.VolumeSpec{Pool: "p", CapacityBytes: 8 << 20, AccessType: state.MountAccess, Mode: 0o700}}
	if err := b.Build(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Place(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A pool that is to set no limits gives new volumes none, though quotas be on; those that
// have one keep it, and it moves with their size.
func TestUnlimited(t *testing.T) {
	path := filepath.Join(filesystem.New(t, "btrfs", 1<<30), "pool")
	if err := errors.Join(EnsureQuota(filepath.Dir(path)), EnsureQuota(filepath.Dir(path)), pool.Prepare(path, "store-1")); err != nil {
		t.Fatal(err)
	}
	limited := openAgain(t, path)
	if limited.Unenforced() != nil || !limited.Features().EnforcesLimits {
		t.Fatalf("%+v, %v", limited.Features(), limited.Unenforced())
	}
	old := newVolume(t, limited, "old")

	p, err := pool.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(p, Options{Unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Features().EnforcesLimits {
		t.Error("it tells that limits are enforced")
	}
	v := newVolume(t, b, "new")
	for _, larger := range []*state.Volume{&old, &v} {
		larger.Spec.CapacityBytes = 16 << 20
		if err := b.Resize(t.Context(), *larger); err != nil {
			t.Fatal(err)
		}
	}
	if got := room(t, b, "old", 64<<20); got < 16<<20 || got > 20<<20 {
		t.Errorf("a volume that had a limit took %d bytes", got)
	}
	if got := room(t, b, "new", 64<<20); got != 64<<20 {
		t.Errorf("a volume without a limit took %d bytes", got)
	}
}

// Older kernels have classic quotas only; when they are on, everything is counted.
func TestClassicQuotasAreCountedWhenTheyAreOn(t *testing.T) {
	at := filesystem.New(t, "btrfs", 1<<30)
	d, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	q := qgroups{pool: d}
	if err := q.enableClassic(); err != nil {
		t.Fatal(err)
	}
	if on, err := q.enabled(); !on || err != nil {
		t.Errorf("quotas are on: %v, %v", on, err)
	}
	if err := EnsureQuota(at); err != nil { // there are some
		t.Error(err)
	}
}

func TestQuotasThatAreOff(t *testing.T) {
	path := filepath.Join(filesystem.New(t, "btrfs", 1<<30), "pool")
	if err := pool.Prepare(path, "store-1"); err != nil {
		t.Fatal(err)
	}
	if err := openAgain(t, path).Unenforced(); state.ReasonOf(err) != state.Unsupported {
		t.Errorf("%v", err)
	}
}
