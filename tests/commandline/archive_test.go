package commandline

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// archive is a driver with an archive, and the commands about that.
type archive struct {
	*testing.T
	d      *process.Driver
	target string
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	dir := process.TempDir(t)
	return &archive{t, process.Start(t, process.Options{Dir: dir}), filepath.Join(dir, "target")}
}

// args are those of a command that asks the driver.
func (a *archive) args(more ...string) []string {
	return append([]string{"archive", more[0], "--pool", "default=" + a.d.PoolDir(), "--endpoint", a.d.Endpoint()}, more[1:]...)
}

// list returns the names in the archive by the IDs of the volumes.
func (a *archive) list() map[string]string {
	a.Helper()
	var list show.Archive
	must(a.T, json.Unmarshal([]byte(run(a.T, nil, "archive", "ls", "--pool", "default="+a.d.PoolDir(), "-o", "json")), &list))
	names := map[string]string{}
	for _, e := range list.Archived {
		names[e.VolumeID] = e.Name
	}
	return names
}

// keep makes volumes with data, deletes them, and returns their names in the archive.
func (a *archive) keep(ids ...string) (names map[string]string) {
	a.Helper()
	for _, id := range ids {
		create(a.T, a.d, id, "onDelete", "archive", "mode", "0750")
		must(a.T, a.d.Publish(id, a.target))
		must(a.T, os.WriteFile(filepath.Join(a.target, "file"), []byte("data of "+id), 0o600))
		must(a.T, a.d.Unpublish(id, a.target))
		must(a.T, a.d.Delete(id))
	}
	process.Eventually(a, "all are archived", func() error {
		if names = a.list(); len(names) != len(ids) {
			return fmt.Errorf("there are %q", names)
		}
		return nil
	})
	return names
}

// wantData wants a volume to hold what was once written into another.
func (a *archive) wantData(id, of string) {
	a.Helper()
	must(a.T, a.d.Publish(id, a.target))
	if b, err := os.ReadFile(filepath.Join(a.target, "file")); err != nil || string(b) != "data of "+of {
		a.Errorf("volume %s holds %q, %v", id, b, err)
	}
	must(a.T, a.d.Unpublish(id, a.target))
}

func TestADeletedVolumeComesBackWhileTheDriverRuns(t *testing.T) {
	a := newArchive(t)
	names := a.keep("wanted", "other")
	want := fmt.Sprintf("%s is volume wanted of pool default, 64 MiB, at %s/volumes/wanted\n", names["wanted"], a.d.PoolDir())
	for range 2 { // asked again, it goes on
		if out := run(t, nil, a.args("restore", names["wanted"])...); out != want {
			t.Errorf("it prints:\n%s", out)
		}
	}
	a.wantData("wanted", "wanted")
	if there := a.list(); len(there) != 1 {
		t.Errorf("the archive has %q", there)
	}
	out := run(t, nil, a.args("restore", names["other"], "--name", "another", "--claim", "shop/db", "-o", "yaml")...)
	for _, line := range []string{"kind: PersistentVolume", "  name: another", "    storage: 64Mi", "    name: db", "    volumeHandle: another", "  persistentVolumeReclaimPolicy: Retain"} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("it has no line %q:\n%s", line, out)
		}
	}
	a.wantData("another", "other")
	if out := run(t, nil, "archive", "ls", "--pool", "default="+a.d.PoolDir()); out != "nothing is archived\n" {
		t.Errorf("archive ls prints:\n%s", out)
	}
	if st, err := os.Stat(filepath.Join(a.d.PoolDir(), "volumes", "another")); err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("it is %v (%v)", st, err)
	}
	// It is what it was: deleted, it is archived.
	must(t, a.d.Delete("wanted"))
	process.Eventually(t, "it is archived again, under another name", func() error {
		if name := a.list()["wanted"]; name == "" || name == names["wanted"] {
			return fmt.Errorf("there are %q", a.list())
		}
		return nil
	})
}

func TestADeviceComesBackFromTheArchive(t *testing.T) {
	a := newArchive(t)
	_, err := a.d.CreateBlockWith("disk", 8<<20, map[string]string{"onDelete": "archive", "provisioning": "thin"})
	must(t, err)
	must(t, a.d.Delete("disk"))
	process.Eventually(t, "it is archived", func() error {
		if a.list()["disk"] == "" {
			return fmt.Errorf("there are %q", a.list())
		}
		return nil
	})
	name := a.list()["disk"]
	if out := run(t, nil, a.args("restore", name, "-o", "yaml")...); !strings.Contains(out, "  volumeMode: Block\n") {
		t.Errorf("it prints:\n%s", out)
	}
	want := fmt.Sprintf("%s is volume disk of pool default, 8.0 MiB, at %s/images/disk\n", name, a.d.PoolDir())
	if out := run(t, nil, a.args("restore", name)...); out != want {
		t.Errorf("it prints:\n%s", out)
	}
	must(t, a.d.PublishBlock("disk", a.target))
	must(t, a.d.Unpublish("disk", a.target))
}

func TestACopyLeavesTheArchiveItsOwn(t *testing.T) {
	a := newArchive(t)
	name := a.keep("data")["data"]
	want := fmt.Sprintf("%s is volume data of pool default, 64 MiB, at %s/volumes/data\nThe archive keeps its own: hostpath-csi archive purge %[1]s\n", name, a.d.PoolDir())
	for range 2 {
		if out := run(t, nil, a.args("restore", name, "--keep")...); out != want {
			t.Errorf("it prints:\n%s", out)
		}
	}
	a.wantData("data", "data")
	if a.list()["data"] != name {
		t.Errorf("the archive has %q", a.list())
	}
	run(t, nil, a.args("restore", name, "--name", "more")...)
	a.wantData("more", "data")
}

func TestAnArchivedVolumeIsPurgedWhileTheDriverRuns(t *testing.T) {
	a := newArchive(t)
	names := a.keep("a", "b")
	if out := run(t, nil, a.args("purge", names["a"], names["b"])...); out != names["a"]+" goes\n"+names["b"]+" goes\n" {
		t.Errorf("it prints:\n%s", out)
	}
	if there := a.list(); len(there) > 0 {
		t.Errorf("the archive has %q", there)
	}
	process.Eventually(t, "the trash is empty", func() error { return process.SameNames(t, filepath.Join(a.d.PoolDir(), ".trash")) })
}

func TestWhatCannotBeDoneWithTheArchiveIsToldWhy(t *testing.T) {
	a := newArchive(t)
	names := a.keep("data", "taken")
	name := names["data"]
	must(t, os.Mkdir(filepath.Join(a.d.PoolDir(), "archive", "by-hand"), 0o700))
	create(t, a.d, "taken")
	nobody := []string{"--endpoint", "unix://" + t.TempDir() + "/nosuch"}
	for what, c := range map[string]struct {
		args []string
		want string
	}{
		"restore of nothing":       {a.args("restore", "nosuch"), `the archive has no "nosuch": hostpath-csi archive ls lists it`},
		"restore out of it":        {a.args("restore", "../volumes"), `the archive has no "../volumes"`},
		"restore without a name":   {a.args("restore", ""), `the archive has no ""`},
		"restore of no volume":     {a.args("restore", "by-hand"), "by-hand carries no record of a volume: copy what you need from it, at " + a.d.PoolDir() + "/archive/by-hand"},
		"restore to what is taken": {a.args("restore", names["taken"]), "restoring " + names["taken"] + `: volume taken exists with another origin: it has "", asked for is "archive/`},
		"restore under no name":    {a.args("restore", name, "--name", "taken"), "volume taken exists with another"},
		"restore for no claim":     {a.args("restore", name, "--claim", "data"), `--claim is "data"; it takes NAMESPACE/NAME`},
		"restore with no driver":   {append(a.args("restore", name), nobody...), "the driver does not answer at unix://"},
		"purge of nothing":         {a.args("purge", "nosuch"), `the archive has no "nosuch"`},
		"purge with no driver":     {append(a.args("purge", name), nobody...), "start it, or name its socket with --endpoint"},
		"restore in no pool":       {[]string{"archive", "restore", name}, "--pool is missing"},
	} {
		if out, err := command(t, nil, c.args...).CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	if got := a.list(); got["data"] != name || got["taken"] != names["taken"] {
		t.Errorf("the archive has %q", got)
	}
}
