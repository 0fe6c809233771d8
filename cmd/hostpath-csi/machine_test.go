package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// Golden files hold these paths: the tests have a mount namespace of their own.
const (
	fast = "/mnt/fast"
	big  = "/mnt/big"
)

var poolFlags = []string{"--pool", "fast=" + fast + "/pool", "--pool", "big=" + big + "/pool"}

// machine mounts two pools with volumes and what else may lie there.
func machine(t *testing.T) {
	t.Helper()
	filesystem.Mount(t, "tmpfs", "/mnt", "tmpfs", 0, "size=1m")
	for path, size := range map[string]string{fast: "size=16m", big: "size=64m"} {
		must(t, os.Mkdir(path, 0o755))
		filesystem.Mount(t, "tmpfs", path, "tmpfs", 0, size)
		must(t, pool.Prepare(path+"/pool", "00000000-0000-0000-0000-000000000000"))
	}
	b := openPlain(t, fast+"/pool")
	data := record("pvc-1", 4<<20, 3*time.Hour)
	data.Spec.Claim = &state.Claim{Namespace: "shop", Name: "data-db-0", PV: "pvc-1"}
	makeVolume(t, b, data)
	write(t, 1<<20, fast, "pool/volumes/pvc-1/file")
	must(t, os.MkdirAll("/mnt/pods/1", 0o755))
	must(t, unix.Mount(fast+"/pool/volumes/pvc-1", "/mnt/pods/1", "", unix.MS_BIND, ""))
	t.Cleanup(func() { must(t, unix.Unmount("/mnt/pods/1", unix.MNT_DETACH)) })
	over := record("over", 1<<20, 40*24*time.Hour)
	makeVolume(t, b, over)
	write(t, 5<<20, fast, "pool/volumes/over/file")
	must(t, b.Build(t.Context(), record("half-made", 1<<20, 2*time.Second)))

	must(t, b.Close())

	b = openPlain(t, big+"/pool")
	block := record("block", 8<<20, 90*time.Minute)
	block.Spec.AccessType = state.BlockAccess
	makeVolume(t, b, block)
	snapshot := state.Snapshot{Meta: record("snap-1", 0, 10*time.Minute).Meta,
		Spec:   state.SnapshotSpec{Name: "before-upgrade", Volume: "pvc-2", Node: "worker-1", Pool: "big", AccessType: state.MountAccess},
		Status: state.SnapshotStatus{SizeBytes: 4 << 20}}
	must(t, b.BuildSnapshot(snapshot, plain.Mkdir, func(*os.File) error { return nil }))
	_, err := b.PlaceSnapshot(t.Context(), snapshot)
	must(t, err)
	must(t, os.Mkdir(big+"/pool/.trash/gone.1", 0o755))
	must(t, b.Close())
}

// hostile puts what an attacker, or a careless root, may leave into the pool big.
func hostile(t *testing.T) {
	t.Helper()
	volumes := big + "/pool/volumes/"
	must(t, os.Mkdir(volumes+"no-record", 0o755))
	must(t, os.Mkdir(volumes+"\x1b[2Jcleared\nfast   pvc-1", 0o755))
	must(t, os.Symlink("/etc", volumes+"link"))
	must(t, unix.Mkfifo(volumes+"pipe", 0o644))
	copied := mustJSON(t, record("block", 8<<20, 0))
	must(t, os.Mkdir(volumes+"copy", 0o755))
	must(t, unix.Setxattr(volumes+"copy", backend.RecordXattr, copied, 0))
	must(t, os.Mkdir(volumes+"not-json", 0o755))
	must(t, unix.Setxattr(volumes+"not-json", backend.RecordXattr, []byte("\x1b]0;title\x07"), 0))
	liar := record("liar", -5, -time.Hour)
	liar.Spec.Node, liar.Spec.Claim = "two\nlines", &state.Claim{Namespace: "a b", Name: "\u202etxt.exe"}
	must(t, os.Mkdir(volumes+"liar", 0o755))
	must(t, unix.Setxattr(volumes+"liar", backend.RecordXattr, mustJSON(t, liar), 0))
}

func TestWhatIsOnAMachineIsShown(t *testing.T) {
	freezeTime(t)
	machine(t)
	for name, args := range map[string][]string{
		"volumes":      {"volumes"},
		"volumes-wide": {"volumes", "-o", "wide"},
		"volumes-json": {"volumes", "-o", "json"},
		"volumes-yaml": {"volumes", "-o", "yaml", "pvc-1"},
		"snapshots":    {"snapshots"},
		"pools":        {"pools"},
		"pools-wide":   {"pools", "-o", "wide"},
		"orphans-none": {"orphans", "ls"},
		"du":           {"du"},
	} {
		t.Run(name, func(t *testing.T) { checkGolden(t, name, mustExecute(t, append(args, poolFlags...)...)) })
	}
}

func TestNothingHostileReachesTheTerminal(t *testing.T) {
	freezeTime(t)
	machine(t)
	hostile(t)
	for name, args := range map[string][]string{
		"hostile-orphans": {"orphans", "ls"},
		"hostile-volumes": {"volumes", "-o", "wide"},
		"hostile-pools":   {"pools"},
		"hostile-du":      {"du"},
	} {
		t.Run(name, func(t *testing.T) {
			out := mustExecute(t, append(args, poolFlags...)...)
			if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r < ' ' || r == 0x7f || r == 0x202e }); i >= 0 {
				t.Errorf("it prints %q", out[i:min(len(out), i+20)])
			}
			checkGolden(t, name, out)
		})
	}
}

func TestAPoolThatCannotBeReadIsToldOfBesideTheOthers(t *testing.T) {
	freezeTime(t)
	machine(t)
	must(t, os.Remove(big+"/pool/"+pool.MarkerName))
	out, err := execute(t, append([]string{"pools"}, poolFlags...)...)
	if err == nil || err.Error() != "1 pool cannot be read" {
		t.Errorf("the error is %v", err)
	}
	checkGolden(t, "pools-unreadable", out)
	out, err = execute(t, append([]string{"volumes"}, poolFlags...)...)
	if state.ReasonOf(err) != state.NotReady || !strings.Contains(out, "shop/data-db-0") {
		t.Errorf("volumes tells %v and prints:\n%s", err, out)
	}
}

func TestLookingChangesNothing(t *testing.T) {
	machine(t)
	must(t, os.RemoveAll(big+"/pool/snapshots")) // as in a pool of an older driver
	for _, path := range []string{fast, big} {
		filesystem.Remount(t, path, unix.MS_RDONLY)
	}
	for _, args := range [][]string{{"volumes"}, {"snapshots"}, {"pools"}, {"orphans", "ls"}, {"du"}} {
		mustExecute(t, append(args, poolFlags...)...)
	}
}

func TestAConfigurationFileNamesThePools(t *testing.T) {
	machine(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(file, []byte(`apiVersion: hostpath-csi.dev/v1alpha1
kind: Configuration
pools:
- {name: fast, path: /mnt/fast/pool, cordoned: true}
- {name: big, path: /mnt/big/pool, nodes: {matchLabels: {disk: hdd}}}
`), 0o644))
	for _, c := range []struct {
		labels string
		want   []string
	}{
		{"", []string{"big", "fast"}}, // both are there
		{"disk=ssd", []string{"fast"}},
		{"disk=hdd", []string{"big", "fast"}},
	} {
		t.Setenv("HOSTPATH_CSI_CONFIG", file)
		t.Setenv("HOSTPATH_CSI_NODE_LABELS", c.labels)
		var list show.Pools
		must(t, json.Unmarshal([]byte(mustExecute(t, "pools", "-o", "json")), &list))
		var got []string
		for _, p := range list.Pools {
			got = append(got, p.Name)
			if (p.Cordoned != "") != (p.Name == "fast") {
				t.Errorf("pool %s is cordoned: %q", p.Name, p.Cordoned)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("the pools of a node with the labels %q are %q, want %q", c.labels, got, c.want)
		}
	}
}

func TestCommandsOfTheMachineRefuseWhatTheyCannotDo(t *testing.T) {
	machine(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"volumes"}, "--pool is missing"},
		{append([]string{"volumes", "-o", "xml"}, poolFlags...), "table, wide, json, yaml"},
		{append([]string{"volumes", "no-such"}, poolFlags...), `no volume "no-such"`},
		{append([]string{"du", "../etc"}, poolFlags...), `no volume "../etc"`},
		{append([]string{"pools", "--config", "/nonexistent"}, poolFlags...), "both given"},
		{append([]string{"pools", "surplus"}, poolFlags...), "unknown command"},
	} {
		if _, err := execute(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestShellsComplete(t *testing.T) {
	machine(t)
	got := mustExecute(t, append(append([]string{"__complete", "volumes"}, poolFlags...), "")...)
	for _, want := range []string{"pvc-1\n", "over\n", "block\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("completion of volumes has no %q:\n%s", want, got)
		}
	}
	if got := mustExecute(t, "__complete", "pools", "-o", ""); !strings.HasPrefix(got, "table\nwide\njson\nyaml\n") {
		t.Errorf("completion of -o is:\n%s", got)
	}
	if got := mustExecute(t, "completion", "bash"); !strings.Contains(got, "__start_hostpath-csi") {
		t.Error("there is no completion for bash")
	}
}

// frozen is when golden files were written.
var frozen = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func freezeTime(t *testing.T) {
	t.Helper()
	clock = func() time.Time { return frozen }
	t.Cleanup(func() { clock = time.Now })
	t.Setenv("LC_ALL", "C")
}

func record(id string, size int64, age time.Duration) state.Volume {
	return state.Volume{Meta: state.Meta{ID: id, UID: strings.Repeat("0", 32-len(id)) + id, Generation: 1, CreatedAt: frozen.Add(-age)},
		Spec: state.VolumeSpec{Name: id, Node: "worker-1", Pool: "default", CapacityBytes: size, AccessType: state.MountAccess, Mode: 0o777}}
}

func openPlain(t *testing.T, path string) *plain.Backend {
	t.Helper()
	p, err := pool.Open(path)
	must(t, err)
	b, err := plain.New(p)
	must(t, err)
	return b
}

// makeVolume makes a volume and puts it into its place.
func makeVolume(t *testing.T, b *plain.Backend, v state.Volume) {
	t.Helper()
	must(t, b.Build(t.Context(), v))
	_, err := b.Place(t.Context(), v)
	must(t, err)
}

func write(t *testing.T, size int, elem ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(elem...), make([]byte, size), 0o644))
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return b
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
