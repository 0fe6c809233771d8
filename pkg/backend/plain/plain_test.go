package plain

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/backendtest"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

// TestBackend runs the suite on every filesystem that this backend is likely to
// meet; they differ in how they count, cache and list.
func TestBackend(t *testing.T) {
	for _, fs := range []struct {
		kind string
		opts []filesystem.Option
	}{
		{"ext4", []filesystem.Option{filesystem.MkfsArgs("-N", "150000")}},
		{"xfs", nil},
		{"btrfs", nil},
		{"tmpfs", nil},
	} {
		t.Run(fs.kind, func(t *testing.T) {
			at := filesystem.New(t, fs.kind, 1<<30, fs.opts...)
			var pools atomic.Int32
			open := func(t *testing.T) backend.Backend {
				b := openNew(t, filepath.Join(at, strconv.Itoa(int(pools.Add(1)))))
				if got := b.Features(); got != (backend.Features{Filesystem: fs.kind}) {
					t.Errorf("features of a plain backend on %s: %+v", fs.kind, got)
				}
				return b
			}
			backendtest.Run(t, open, backendtest.Reopen(func(t *testing.T, b backend.Backend) backend.Backend {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				return openAgain(t, b.(*Backend).Path())
			}))
		})
	}
}

// openNew makes the directory a pool and opens it until the end of the test.
func openNew(t *testing.T, path string) *Backend {
	t.Helper()
	if err := pool.Prepare(path, "store-1"); err != nil {
		t.Fatal(err)
	}
	return openAgain(t, path)
}

func openAgain(t *testing.T, path string) *Backend {
	t.Helper()
	p, err := pool.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // the test did it
			t.Error(err)
		}
	})
	return b
}

func volume(id string) state.Volume {
	return state.Volume{
		Meta: state.Meta{ID: id, UID: strings.Repeat("0", 32-len(id)) + id, Generation: 1},
		Spec: state.VolumeSpec{Name: id, Node: "node-1", Pool: "default", CapacityBytes: 1 << 20, AccessType: state.MountAccess, Mode: 0o777},
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestNoInodesLeft(t *testing.T) {
	at := filesystem.New(t, "ext4", 16<<20, filesystem.MkfsArgs("-N", "64"))
	b := openNew(t, filepath.Join(at, "pool"))
	built := 0
	for ; ; built++ {
		v := volume(strconv.Itoa(built))
		err := b.Build(t.Context(), v)
		if err == nil {
			continue
		}
		if state.ReasonOf(err) != state.NoSpace {
			t.Errorf("no inode is left: reason %q (%v), want NoSpace", state.ReasonOf(err), err)
		}
		if _, err := os.Lstat(filepath.Join(b.Path(), pool.BuildDir, backend.PassingName(v))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the volume that could not be built left something: %v", err)
		}
		if err := errors.Join(b.Discard(t.Context(), v), b.Settle(t.Context())); err != nil {
			t.Errorf("discarding what could not be built: %v", err)
		}
		break
	}
	if n := entries(t, filepath.Join(b.Path(), pool.BuildDir)); built == 0 || n != built {
		t.Errorf("%s holds %d entries after building %d", pool.BuildDir, n, built)
	}
	u, err := b.Capacity(t.Context())
	if err != nil || u.AvailableInodes != 0 {
		t.Errorf("capacity of a filesystem without inodes: %+v, %v", u, err)
	}
	// What is there can be removed, and then there is room.
	v := volume("0")
	if err := b.Discard(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if err := b.Purge(t.Context(), backend.PassingName(v), func(int) {}); err != nil {
		t.Fatal(err)
	}
	if err := b.Build(t.Context(), volume("again")); err != nil {
		t.Errorf("building after room was made: %v", err)
	}
}

func TestNoBlocksLeft(t *testing.T) {
	at := filesystem.New(t, "ext4", 16<<20, filesystem.MkfsArgs("-m", "0", "-b", "4096", "-I", "256"))
	b := openNew(t, filepath.Join(at, "pool"))
	f, err := os.Create(filepath.Join(at, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if err := f.Sync(); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	v := volume("a")
	if err := b.Build(t.Context(), v); state.ReasonOf(err) != state.NoSpace {
		t.Errorf("the filesystem is full: reason %q (%v), want NoSpace", state.ReasonOf(err), err)
	}
	if err := errors.Join(b.Discard(t.Context(), v), b.Settle(t.Context())); err != nil {
		t.Errorf("discarding what could not be built: %v", err)
	}
	if n := entries(t, filepath.Join(b.Path(), pool.BuildDir)); n != 0 {
		t.Errorf("%s holds %d entries", pool.BuildDir, n)
	}
}

func TestReadOnlyFilesystem(t *testing.T) {
	at := filesystem.New(t, "ext4", 16<<20)
	b := openNew(t, filepath.Join(at, "pool"))
	there, built := volume("there"), volume("built")
	for _, v := range []state.Volume{there, built} {
		if err := b.Build(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Place(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	there.Status = state.VolumeStatus{Phase: state.Ready, CapacityBytes: 1 << 20}
	filesystem.Remount(t, at, unix.MS_RDONLY)
	_, placeErr := b.Place(t.Context(), built)
	for what, err := range map[string]error{
		"building":   b.Build(t.Context(), volume("a")),
		"placing":    placeErr,
		"resizing":   b.Resize(t.Context(), there),
		"discarding": b.Discard(t.Context(), there),
	} {
		if state.ReasonOf(err) != state.NotReady || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s on a read-only filesystem: reason %q (%v), want NotReady and to be told", what, state.ReasonOf(err), err)
		}
	}
	// Reading goes on.
	if _, err := b.Usage(t.Context(), there); err != nil {
		t.Error(err)
	}
	f, err := b.Open(there)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestFilesystemName(t *testing.T) {
	for magic, want := range map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.TMPFS_MAGIC: "tmpfs",
		unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.F2FS_SUPER_MAGIC: "f2fs", 0x2fc12fc1: "zfs", 0x1234: "0x1234", -1: "0xffffffff",
	} {
		if got := filesystemName(magic); got != want {
			t.Errorf("%#x is called %q, want %q", magic, got, want)
		}
	}
}

// TestCloseEndsCounts closes a pool while big volumes are counted.
func TestCloseEndsCounts(t *testing.T) {
	at := filesystem.New(t, "tmpfs", 64<<20)
	b := openNew(t, filepath.Join(at, "pool"))
	for _, id := range []string{"a", "b", "c"} {
		v := volume(id)
		if err := b.Build(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		for i := range 2 * countAtOnce {
			if err := unix.Mknod(filepath.Join(b.Path(), pool.BuildDir, backend.PassingName(v), strconv.Itoa(i)), unix.S_IFREG, 0); err != nil {
				t.Fatal(err)
			}
		}
		u, err := b.Usage(t.Context(), v)
		if err != nil || u.UsedInodes < countAtOnce {
			t.Errorf("the first count of a big volume: %+v, %v", u, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b.counts.done.Wait()
}
