// Package limits has the real driver hold volumes to their size, on filesystems that
// can: btrfs here, XFS and ext4 in the virtual machine of tests/vm (build tag quotavm).
package limits

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) {
	filesystem.DropResources()
	filesystem.Main(m, process.RemoveBinaries)
}

const mib = 1 << 20

// kind is a filesystem with quota, and what a write beyond a limit fails with there.
type kind struct {
	name   string
	make   func(t *testing.T) (mountpoint string)
	beyond error
	pool   func(dir string) string // what the flag --pool says of it; nil: no more than its path
}

// inImage is a pool that the driver makes by itself, and that must hold volumes to their
// size.
func inImage(filesystem string) func(dir string) string {
	return func(dir string) string {
		return ",image=" + dir + "/pool.img,size=1Gi,filesystem=" + filesystem + ",provisioning=thin,enforcement=required"
	}
}

func (k kind) options(dir string) process.Options {
	o := process.Options{Dir: dir}
	if k.pool != nil {
		o.Pool = k.pool(dir)
	}
	return o
}

// TestAVolumeHoldsItsSize goes through a volume's life: it takes its size and no more,
// goes on when it is made larger, is still limited after the driver was killed, and
// another one of its name starts empty.
func TestAVolumeHoldsItsSize(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			dir := filepath.Join(k.make(t), "d")
			must(t, os.Mkdir(dir, 0o755))
			t.Cleanup(func() { process.UnmountBeneath(t, dir) })
			d := process.Start(t, k.options(dir))
			target := filepath.Join(dir, "target")
			create(t, d, "a")
			create(t, d, "b")
			must(t, d.Publish("a", target))

			taken := fill(t, filepath.Join(target, "file"), k.beyond)
			wantAbout(t, "a volume of 16 MiB", taken, 16*mib)
			if used, total := usage(t, d, "a", target); total != 16*mib || used < 15*mib {
				t.Errorf("a full volume of 16 MiB is told as %d of %d", used, total)
			}

			must(t, d.Expand("a", 32*mib))
			taken += fill(t, filepath.Join(target, "more"), k.beyond)
			wantAbout(t, "the volume, made 32 MiB large,", taken, 32*mib)

			d.Kill()
			d = process.Start(t, k.options(dir))
			first := sizeOf(t, filepath.Join(target, "file"))
			must(t, os.Remove(filepath.Join(target, "more")))
			wantAbout(t, "the volume, after a kill,", first+fill(t, filepath.Join(target, "again"), k.beyond), 32*mib)

			must(t, d.Unpublish("a", target))
			must(t, d.Delete("a"))
			create(t, d, "a")
			must(t, d.Publish("a", target))
			wantAbout(t, "the next volume of that name", fill(t, filepath.Join(target, "file"), k.beyond), 16*mib)
		})
	}
}

// create makes a volume of 16 MiB.
func create(t *testing.T, d *process.Driver, name string) {
	t.Helper()
	_, err := d.Create(name, 16*mib)
	must(t, err)
}

func usage(t *testing.T, d *process.Driver, id, path string) (used, total int64) {
	t.Helper()
	resp, err := d.NodeGetVolumeStats(context.Background(), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: path})
	must(t, err)
	for _, u := range resp.GetUsage() {
		if u.GetUnit() == csi.VolumeUsage_BYTES {
			return u.GetUsed(), u.GetTotal()
		}
	}
	t.Fatalf("no bytes in %v", resp)
	return 0, 0
}

// fill writes until the filesystem refuses, and returns how many bytes it took.
func fill(t *testing.T, path string, beyond error) (taken int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	chunk := make([]byte, 256<<10)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	for taken < 256*mib {
		n, err := f.Write(chunk)
		taken += int64(n)
		if err == nil {
			err = f.Sync() // a filesystem may allocate, and refuse, late
		}
		if err != nil {
			if !errors.Is(err, beyond) {
				t.Errorf("the volume is full: %v, want %v", err, beyond)
			}
			return taken
		}
	}
	t.Fatalf("%s took %d bytes and no end", path, taken)
	return 0
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	must(t, err)
	return st.Size()
}

func wantAbout(t *testing.T, what string, got, want int64) {
	t.Helper()
	if got < want || got > want+want/8+4*mib {
		t.Errorf("%s took %d bytes, want %d and little more", what, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
