package pool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

// disk is a small filesystem that can carry records.
func disk(t testing.TB) string {
	t.Helper()
	return filesystem.New(t, "tmpfs", 64<<20)
}

func prepare(t testing.TB, path string) string {
	t.Helper()
	if err := Prepare(path, "store-1"); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *Pool {
	t.Helper()
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func volume(id string) state.Volume {
	return state.Volume{Meta: state.Meta{ID: id, UID: strings.Repeat("0", 32-len(id)) + id, Generation: 1},
		Spec: state.VolumeSpec{Name: id, CapacityBytes: 1 << 20, AccessType: state.MountAccess, Mode: 0o777}}
}

// build builds an empty volume.
func build(t testing.TB, p *Pool, v state.Volume) {
	t.Helper()
	mkdir := func(dirfd int, name string) error { return unix.Mkdirat(dirfd, name, 0o755) }
	if err := p.Build(v, mkdir, func(*os.File) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t testing.TB, contents string, elem ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(elem...), []byte(contents), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantReason(t testing.TB, want state.Reason, err error) {
	t.Helper()
	if got := state.ReasonOf(err); got != want {
		t.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}
