package pool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestPrepareNewDirectory(t *testing.T) {
	path := filepath.Join(disk(t), "some", "where")
	before := time.Now().Add(-time.Second)
	prepare(t, path)
	m, err := ReadMarker(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.UUID) != 36 || m.Layout != Layout || m.Store != "store-1" || m.CreatedAt.Before(before) || m.CreatedAt.After(time.Now()) {
		t.Errorf("marker %+v", m)
	}
	for name, mode := range map[string]os.FileMode{"": 0o711, VolumesDir: 0o711, BuildDir: 0o711, TrashDir: 0o711} {
		st, err := os.Stat(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		if !st.IsDir() || st.Mode().Perm() != mode {
			t.Errorf("%q has mode %v, want a directory with %v", name, st.Mode(), mode)
		}
	}
	p := open(t, path)
	if p.Marker() != m || p.Path() != path {
		t.Errorf("the open pool is %+v at %s", p.Marker(), p.Path())
	}
	if err := p.StillThere(); err != nil {
		t.Error(err)
	}
}

func TestPrepareLeavesOtherFilesAlone(t *testing.T) {
	path := disk(t)
	write(t, "data", path, "file")
	write(t, "data", mkdir(t, path, "lost+found"), "file")
	prepare(t, path)
	open(t, path)
	for _, name := range []string{"file", "lost+found/file"} {
		if b, err := os.ReadFile(filepath.Join(path, name)); err != nil || string(b) != "data" {
			t.Errorf("%s holds %q (%v)", name, b, err)
		}
	}
}

func TestPreparedPoolsDiffer(t *testing.T) {
	at := disk(t)
	a, errA := ReadMarker(prepare(t, filepath.Join(at, "a")))
	b, errB := ReadMarker(prepare(t, filepath.Join(at, "b")))
	if errA != nil || errB != nil || a.UUID == b.UUID {
		t.Errorf("markers %+v (%v) and %+v (%v)", a, errA, b, errB)
	}
}

// TestPrepareRefusesLostMarker: volumes without a marker are somebody's data.
func TestPrepareRefusesLostMarker(t *testing.T) {
	for _, dir := range []string{VolumesDir, BuildDir, TrashDir} {
		path := disk(t)
		mkdir(t, path, dir, "a")
		err := Prepare(path, "store-1")
		wantReason(t, state.NotReady, err)
		if err == nil || !strings.Contains(err.Error(), MarkerName) || !strings.Contains(err.Error(), dir) {
			t.Errorf("the refusal says neither what is missing nor where data is: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(path, dir, "a")); err != nil {
			t.Error(err)
		}
		if _, err := ReadMarker(path); !errors.Is(err, ErrNoMarker) {
			t.Errorf("a refused directory carries a marker: %v", err)
		}
	}
}

func TestPrepareRefusesWhatIsNoDirectory(t *testing.T) {
	at := disk(t)
	write(t, "", at, "file")
	wantReason(t, state.NotReady, Prepare(filepath.Join(at, "file"), "store-1"))
	for _, plant := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, nil, 0o600) },
		func(path string) error { return os.Symlink(at, path) },
	} {
		path := mkdir(t, t.TempDir(), "pool")
		if err := plant(filepath.Join(path, VolumesDir)); err != nil {
			t.Fatal(err)
		}
		wantReason(t, state.NotReady, Prepare(path, "store-1"))
	}
}

// TestPrepareAfterCrash goes on where an earlier attempt was cut short.
func TestPrepareAfterCrash(t *testing.T) {
	for name, crashed := range map[string]func(path string){
		"nothing was made":        func(string) {},
		"one directory was made":  func(path string) { mkdir(t, path, VolumesDir) },
		"directories were made":   func(path string) { mkdir(t, path, VolumesDir); mkdir(t, path, BuildDir); mkdir(t, path, TrashDir) },
		"the marker is not whole": func(path string) { write(t, `{"uuid": "12`, path, MarkerName+".new") },
		"the marker is not in place": func(path string) {
			write(t, `{"uuid": "1", "layout": 1, "store": "another, with a longer name than this one's"}`+strings.Repeat("\n", 1000), path, MarkerName+".new")
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := disk(t)
			crashed(path)
			if _, err := ReadMarker(path); !errors.Is(err, ErrNoMarker) {
				t.Errorf("before: %v", err)
			}
			m := open(t, prepare(t, path)).Marker()
			if len(m.UUID) != 36 || m.Store != "store-1" {
				t.Errorf("marker %+v", m)
			}
			if _, err := os.Lstat(filepath.Join(path, MarkerName+".new")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a leaving: %v", err)
			}
		})
	}
}

func TestPrepareNeedsTrustedAttributes(t *testing.T) {
	path := filesystem.New(t, "ramfs", 0)
	err := Prepare(path, "store-1")
	wantReason(t, state.Unsupported, err)
	if err == nil || !strings.Contains(err.Error(), "trusted.*") {
		t.Errorf("the refusal does not say what is missing: %v", err)
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		t.Errorf("the refused directory holds %v (%v)", entries, err)
	}
}

func TestPrepareOnReadOnlyFilesystem(t *testing.T) {
	path := disk(t)
	filesystem.Remount(t, path, unix.MS_RDONLY)
	if err := Prepare(path, "store-1"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("preparing a pool on a read-only filesystem: %v", err)
	}
}

func TestReadMarker(t *testing.T) {
	for name, c := range map[string]struct {
		marker string
		reason state.Reason
	}{
		"good":                        {`{"uuid": "u", "layout": 1, "store": "s", "createdAt": "2026-01-02T03:04:05Z"}`, ""},
		"more fields":                 {`{"uuid": "u", "layout": 1, "new": [{}]}`, ""},
		"newer layout":                {`{"uuid": "u", "layout": 2}`, state.Unsupported},
		"newer layout in other words": {`{"layout": 7, "pools": []}`, state.Unsupported},
		"empty":                       {"", state.NotReady},
		"cut short":                   {`{"uuid": "u", "layout"`, state.NotReady},
		"zeros":                       {strings.Repeat("\x00", 4096), state.NotReady},
		"no JSON":                     {"pool", state.NotReady},
		"another type":                {`["u"]`, state.NotReady},
		"null":                        {`null`, state.NotReady},
		"no UUID":                     {`{"layout": 1}`, state.NotReady},
		"no layout":                   {`{"uuid": "u"}`, state.NotReady},
		"negative layout":             {`{"uuid": "u", "layout": -1}`, state.NotReady},
		"two":                         {`{"uuid": "u", "layout": 1}{"uuid": "v", "layout": 1}`, state.NotReady},
		"endless":                     {`{"uuid": "` + strings.Repeat("u", 1<<20) + `", "layout": 1}`, state.NotReady},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			write(t, c.marker, path, MarkerName)
			m, err := ReadMarker(path)
			wantReason(t, c.reason, err)
			if err == nil && (m.UUID != "u" || m.Layout != 1) {
				t.Errorf("marker %+v", m)
			}
			if errors.Is(err, ErrNoMarker) {
				t.Error("a damaged marker passes for a missing one: a new pool would be made there")
			}
			if c.reason != "" {
				_, err := Open(path)
				wantReason(t, c.reason, err)
			}
		})
	}
}

func TestReadMarkerThatIsNoFile(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"link": func(path string) error {
			write(t, `{"uuid": "u", "layout": 1}`, path+".target")
			return os.Symlink(filepath.Base(path)+".target", path)
		},
	} {
		path := t.TempDir()
		if err := plant(filepath.Join(path, MarkerName)); err != nil {
			t.Fatal(err)
		}
		_, err := ReadMarker(path)
		wantReason(t, state.NotReady, err)
		if errors.Is(err, ErrNoMarker) {
			t.Errorf("a %s passes for a missing marker", name)
		}
	}
	write(t, "", t.TempDir(), "file")
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no", "such")} {
		_, err := ReadMarker(path)
		wantReason(t, state.NotReady, err)
		if !errors.Is(err, ErrNoMarker) {
			t.Errorf("a missing marker is told as %v", err)
		}
	}
}

func TestRebind(t *testing.T) {
	path := prepare(t, disk(t))
	before, err := ReadMarker(path)
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, path)
	build(t, p, volume("a"))
	if err := Rebind(path, "store-2"); err != nil {
		t.Fatal(err)
	}
	after, err := ReadMarker(path)
	if err != nil {
		t.Fatal(err)
	}
	before.Store = "store-2"
	if after != before {
		t.Errorf("marker %+v, want %+v", after, before)
	}
	if err := p.StillThere(); err != nil {
		t.Error(err)
	}
	if _, err := p.ReadRecord(".tmp/" + "a." + volume("a").UID); err != nil {
		t.Error(err)
	}
	err = Rebind(t.TempDir(), "store-2")
	wantReason(t, state.NotReady, err)
}

func TestStillThereTellsADiskThatWasMountedAnew(t *testing.T) {
	source, at := t.TempDir(), t.TempDir()
	if err := Prepare(source, "store-1"); err != nil {
		t.Fatal(err)
	}
	mount := func() {
		t.Helper()
		if err := unix.Mount(source, at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	mount()
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	p, err := Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.StillThere(); err != nil {
		t.Errorf("while nothing happened: %v", err)
	}
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil { // as the pool is open
		t.Fatal(err)
	}
	if err := p.StillThere(); !errors.Is(err, ErrNoMarker) {
		t.Errorf("without the disk: %v", err)
	}
	mount()
	if err := p.StillThere(); !errors.Is(err, backend.ErrRemounted) || state.ReasonOf(err) != state.NotReady {
		t.Errorf("with the disk again: %v", err)
	}
}
