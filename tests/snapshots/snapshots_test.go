// Package snapshots takes snapshots with a real driver, of volumes on each filesystem, and
// restores them.
package snapshots

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree/treetest"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) { filesystem.Main(m, process.RemoveBinaries) }

const (
	mib  = 1 << 20
	data = 48 * mib
)

// on runs a test with a driver whose pool is on each filesystem.
func on(t *testing.T, test func(t *testing.T, d *process.Driver, sharesBlocks bool)) {
	for kind, sharesBlocks := range map[string]bool{"btrfs": true, "xfs": true, "ext4": false} {
		t.Run(kind, func(t *testing.T) {
			dir := process.TempDir(t)
			pool := filepath.Join(dir, "pool")
			must(t, os.Mkdir(pool, 0o711))
			must(t, unix.Mount(filesystem.New(t, kind, 1<<30), pool, "", unix.MS_BIND, ""))
			t.Cleanup(func() { _ = unix.Unmount(pool, unix.MNT_DETACH) })
			d := process.Start(t, process.Options{Dir: dir})
			test(t, d, sharesBlocks)
			must(t, d.Terminate())
		})
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// take takes a snapshot and waits until it is ready.
func take(t *testing.T, d *process.Driver, name, volume string) {
	t.Helper()
	process.Eventually(t, "the snapshot is ready to use", func() error {
		ready, err := d.TakeSnapshot(name, volume)
		if err == nil && !ready {
			err = errors.New("it is not ready to use")
		}
		return err
	})
}

// used is what the pool's filesystem has allocated.
func used(t *testing.T, d *process.Driver) int64 {
	t.Helper()
	f, err := os.Open(d.PoolDir())
	must(t, err)
	defer f.Close()
	must(t, unix.Syncfs(int(f.Fd())))
	var st unix.Statfs_t
	must(t, unix.Fstatfs(int(f.Fd()), &st))
	return int64(st.Blocks-st.Bfree) * st.Bsize
}

// fill writes bytes that cannot be compressed, durably.
func fill(t *testing.T, path string, bytes int) {
	t.Helper()
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
	must(t, err)
	defer f.Close()
	_, err = f.Write(b)
	must(t, err, f.Sync())
}

// furnish puts a bit of everything into a directory.
func furnish(t *testing.T, at string) {
	t.Helper()
	fill(t, filepath.Join(at, "large"), data)
	sparse, err := os.Create(filepath.Join(at, "sparse"))
	must(t, err)
	_, err = sparse.WriteAt([]byte("end"), 64*mib)
	must(t, err, sparse.Close(),
		os.MkdirAll(filepath.Join(at, "a", "b\xff\n"), 0o750),
		os.Symlink("/etc/shadow", filepath.Join(at, "a", "link")),
		os.Link(filepath.Join(at, "large"), filepath.Join(at, "a", "hard")),
		unix.Mkfifo(filepath.Join(at, "pipe"), 0o600),
		unix.Setxattr(filepath.Join(at, "large"), "user.note", []byte("kept"), 0),
		os.Chown(filepath.Join(at, "a"), 1000, 2000))
	for i := range 500 {
		must(t, os.WriteFile(filepath.Join(at, "a", fmt.Sprint(i)), []byte(strings.Repeat("x", i)), 0o600))
	}
}

func wantEqual(t *testing.T, a, b string) {
	t.Helper()
	var files [2]*os.File
	for i, path := range []string{a, b} {
		f, err := os.Open(path)
		must(t, err)
		defer f.Close()
		files[i] = f
	}
	if err := treetest.Equal(files[0], files[1], tree.Options{SkipXattrs: []string{"trusted.hostpath-csi.record"}}); err != nil {
		t.Errorf("%s and %s differ: %v", a, b, err)
	}
}

func TestAVolumeComesBackAsItWas(t *testing.T) {
	on(t, func(t *testing.T, d *process.Driver, sharesBlocks bool) {
		_, err := d.Create("data", 128*mib)
		must(t, err)
		target := filepath.Join(t.TempDir(), "target")
		must(t, d.Publish("data", target))
		furnish(t, target)
		before := used(t, d)
		take(t, d, "snap", "data")
		if more := used(t, d) - before; (more < data/2) != sharesBlocks {
			t.Errorf("the snapshot of %d bytes takes %d; blocks are shared: %v", data, more, sharesBlocks)
		}
		snapshot := filepath.Join(d.PoolDir(), "snapshots", "snap")
		wantEqual(t, target, snapshot)
		_, err = d.Copy("clone", 128*mib, false, process.FromVolume("data"))
		must(t, err)

		// The pod goes on, and the volume goes away.
		fill(t, filepath.Join(target, "large"), mib)
		must(t, os.RemoveAll(filepath.Join(target, "a")), d.Unpublish("data", target), d.Delete("data"))
		_, err = d.Copy("restored", 256*mib, false, process.FromSnapshot("snap"))
		must(t, err)
		wantEqual(t, filepath.Join(d.PoolDir(), "volumes", "clone"), snapshot)
		must(t, d.Publish("restored", target))
		wantEqual(t, target, snapshot)
		must(t, d.RemoveSnapshot("snap"))
		wantEqual(t, target, filepath.Join(d.PoolDir(), "volumes", "clone"))
		must(t, d.Unpublish("restored", target), d.Delete("restored"), d.Delete("clone"))
	})
}

// TestABlockVolumeComesBackAsItWas, a filesystem on it included. Where a snapshot is of
// one instant, it is mounted while that is taken; where it is not, nobody may write.
func TestABlockVolumeComesBackAsItWas(t *testing.T) {
	on(t, func(t *testing.T, d *process.Driver, sharesBlocks bool) {
		_, err := d.CreateBlock("disk", 128*mib)
		must(t, err)
		device := filepath.Join(t.TempDir(), "device")
		must(t, d.PublishBlock("disk", device))
		inside := filepath.Join(t.TempDir(), "inside")
		must(t, os.Mkdir(inside, 0o755))
		if out, err := exec.Command("mkfs.ext4", "-q", device).CombinedOutput(); err != nil {
			t.Fatalf("mkfs.ext4: %v: %s", err, out)
		}
		must(t, unix.Mount(device, inside, "ext4", 0, ""))
		t.Cleanup(func() { _ = unix.Unmount(inside, unix.MNT_DETACH) })
		fill(t, filepath.Join(inside, "large"), data)
		want, err := os.ReadFile(filepath.Join(inside, "large"))
		must(t, err)
		if !sharesBlocks {
			must(t, unix.Unmount(inside, 0))
		}
		before := used(t, d)
		take(t, d, "snap", "disk")
		if more := used(t, d) - before; (more < data/2) != sharesBlocks {
			t.Errorf("the snapshot of %d bytes takes %d; blocks are shared: %v", data, more, sharesBlocks)
		}
		if sharesBlocks {
			must(t, os.Remove(filepath.Join(inside, "large")), unix.Unmount(inside, 0))
		}
		must(t, d.Unpublish("disk", device), d.Delete("disk"))

		_, err = d.Copy("restored", 192*mib, true, process.FromSnapshot("snap"))
		must(t, err, d.RemoveSnapshot("snap"), d.PublishBlock("restored", device))
		// Its journal brings the filesystem to a state that it had.
		must(t, unix.Mount(device, inside, "ext4", 0, ""))
		got, err := os.ReadFile(filepath.Join(inside, "large"))
		if err != nil || string(got) != string(want) {
			t.Errorf("the file in the restored volume has %d bytes, %v; want the %d that were written", len(got), err, len(want))
		}
		must(t, unix.Unmount(inside, 0), d.Unpublish("restored", device), d.Delete("restored"))
		for _, left := range process.LoopDevicesOf(t, d.PoolDir()) {
			t.Error(left)
		}
	})
}
