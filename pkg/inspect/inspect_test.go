package inspect

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

const mib = 1 << 20

func TestVolumesAreFoundAndCountedOnEveryFilesystem(t *testing.T) {
	for _, kind := range []string{"tmpfs", "ext4", "xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			path := filepath.Join(filesystem.New(t, kind, 512*mib), "pool")
			c := volume("c", 8*mib)
			c.Spec.Path = "shop/data=c"
			fill(t, path, volume("a", 8*mib), volume("b", 8*mib), c)
			write(t, 3*mib, path, "volumes/a/file")
			target := t.TempDir()
			must(t, unix.Mount(filepath.Join(path, "volumes/b"), target, "", unix.MS_BIND, ""))
			t.Cleanup(func() { must(t, unix.Unmount(target, 0)) })

			p := look(t, path, Options{})
			if len(p.Volumes) != 3 || p.Filesystem != kind || p.AllocatedBytes != 24*mib || p.EnforcesLimits {
				t.Fatalf("it found %+v", p)
			}
			if c := p.Volumes[2]; c.ID != "c" || c.Path != path+"/claims/shop/data=c" {
				t.Errorf("c is %+v", c)
			}
			a, b := p.Volumes[0], p.Volumes[1]
			if a.ID != "a" || a.UsedBytes == nil || *a.UsedBytes < 3*mib || *a.UsedBytes > 4*mib || a.AtLeast || a.Path != path+"/volumes/a" {
				t.Errorf("a is %+v", a)
			}
			if len(a.Targets) > 0 || !slices.Equal(b.Targets, []string{target}) {
				t.Errorf("a is published at %q, b at %q", a.Targets, b.Targets)
			}
		})
	}
}

func TestAQgroupIsAskedInsteadOfCounting(t *testing.T) {
	at := filesystem.New(t, "btrfs", 512*mib)
	must(t, btrfs.EnableQuota(at))
	path := filepath.Join(at, "pool")
	fill(t, path, volume("a", 64*mib))
	write(t, 3*mib, path, "volumes/a/file")
	f, err := os.Open(path)
	must(t, err)
	must(t, unix.Syncfs(int(f.Fd())), f.Close())
	p := look(t, path, Options{Count: -1}) // which counts no file
	if v := p.Volumes[0]; !p.EnforcesLimits || !v.Status.Enforced || v.UsedBytes == nil || *v.UsedBytes < 3*mib || *v.UsedBytes > 4*mib {
		t.Errorf("it found %+v", v)
	}
}

func TestACountEndsWhereItIsTold(t *testing.T) {
	path := filepath.Join(filesystem.New(t, "tmpfs", 64*mib), "pool")
	fill(t, path, volume("a", 8*mib))
	for _, name := range strings.Split("abcdefgh", "") {
		write(t, 4096, path, "volumes/a", name)
	}
	if v := look(t, path, Options{Count: 3}).Volumes[0]; !v.AtLeast || *v.UsedBytes == 0 {
		t.Errorf("three inodes are %+v", v)
	}
	if v := look(t, path, Options{Count: -1}).Volumes[0]; v.UsedBytes != nil {
		t.Errorf("it counted: %+v", v)
	}
	if v := look(t, path, Options{Only: []string{"other"}}).Volumes[0]; v.UsedBytes != nil {
		t.Errorf("it counted what was not asked for: %+v", v)
	}
}

func TestAnEndedContextEndsACount(t *testing.T) {
	path := filepath.Join(filesystem.New(t, "tmpfs", 64*mib), "pool")
	fill(t, path, volume("a", 8*mib))
	write(t, 1, path, "volumes/a/file")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Look(ctx, "default", path, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestARecordThatDoesNotFitItsPlaceIsAnOrphans(t *testing.T) {
	path := filepath.Join(filesystem.New(t, "tmpfs", 64*mib), "pool")
	fill(t, path, volume("a", mib))
	must(t, os.Rename(path+"/volumes/a", path+"/volumes/b"))
	must(t, os.Mkdir(path+"/snapshots/s", 0o755))
	must(t, os.WriteFile(path+"/images/i", nil, 0o600))
	must(t, os.Symlink("b", path+"/volumes/c"))
	must(t, os.Mkdir(path+"/volumes/d", 0o755))
	must(t, unix.Setxattr(path+"/volumes/d", backend.RecordXattr, []byte(`{"id":"../d","uid":"x"}`), 0))
	p := look(t, path, Options{})
	want := []Orphan{
		{"default", "volumes/b", "its record is of volume a"},
		{"default", "volumes/c", "it is a symbolic link"},
		{"default", "volumes/d", "record of volumes/d: "},
		{"default", "images/i", "it carries no record"},
		{"default", "snapshots/s", "it carries no record"},
	}
	if len(p.Volumes) > 0 || len(p.Contents.Orphans) != len(want) || p.PoolStatus.Orphans != len(want) {
		t.Fatalf("it found %+v", p)
	}
	for i, o := range p.Contents.Orphans {
		if o.Path != want[i].Path || !strings.HasPrefix(o.Why, want[i].Why) {
			t.Errorf("orphan %+v, want %+v", o, want[i])
		}
	}
}

func TestWhatIsNoPoolIsToldOf(t *testing.T) {
	for name, path := range map[string]string{"missing": "/nonexistent", "no pool": t.TempDir()} {
		p := look(t, path, Options{})
		if !errors.Is(p.Err, pool.ErrNoMarker) || len(p.Health) != 1 || p.Health[0].Type != state.Inaccessible {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func look(t *testing.T, path string, o Options) Pool {
	t.Helper()
	p, err := Look(t.Context(), "default", path, o)
	must(t, err)
	return p
}

// fill makes a pool with volumes.
func fill(t *testing.T, path string, volumes ...state.Volume) {
	t.Helper()
	must(t, pool.Prepare(path, "store-1"))
	p, err := pool.Open(path)
	must(t, err)
	magic, err := p.FilesystemType()
	must(t, err)
	var b backend.Backend
	if magic == unix.BTRFS_SUPER_MAGIC {
		b, err = btrfs.New(p, btrfs.Options{})
	} else {
		b, err = plain.New(p)
	}
	must(t, err)
	defer func() { must(t, b.Close()) }()
	for _, v := range volumes {
		must(t, b.Build(t.Context(), v))
		_, err := b.Place(t.Context(), v)
		must(t, err)
	}
}

func volume(id string, size int64) state.Volume {
	return state.Volume{Meta: state.Meta{ID: id, UID: strings.Repeat("0", 32-len(id)) + id, Generation: 1},
		Spec: state.VolumeSpec{Name: id, Node: "node-1", Pool: "another name", CapacityBytes: size, AccessType: state.MountAccess, Mode: 0o777}}
}

func write(t *testing.T, size int, elem ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(elem...), make([]byte, size), 0o600))
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
