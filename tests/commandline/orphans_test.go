package commandline

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestOrphansAreRemovedByTheRunningDriver(t *testing.T) {
	dir := process.TempDir(t)
	d := process.Start(t, process.Options{Dir: dir})
	create(t, d, "data")
	stray := func(names ...string) {
		for _, name := range names {
			must(t, os.MkdirAll(filepath.Join(d.PoolDir(), name), 0o755))
			must(t, os.WriteFile(filepath.Join(d.PoolDir(), name, "file"), []byte("of nobody"), 0o600))
		}
	}
	gone := func(names ...string) {
		t.Helper()
		for _, name := range names {
			if _, err := os.Lstat(filepath.Join(d.PoolDir(), name)); !os.IsNotExist(err) {
				t.Errorf("%s is there (%v)", name, err)
			}
		}
	}
	args := func(more ...string) []string {
		return append([]string{"orphans", "remove", "--endpoint", d.Endpoint()}, more...)
	}
	stray("volumes/stray", "volumes/a b", "snapshots/stray")
	for what, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":          {args(), "it takes either the orphans to remove, each as POOL/PATH, or --all"},
		"some and all":     {args("default/volumes/stray", "--all"), "it takes either"},
		"nobody to ask":    {args("default/volumes/stray"), "there is no terminal to ask on, and it cannot be undone: give --yes"},
		"no pool":          {args("-y", "stray"), "it takes POOL/PATH"},
		"another pool":     {args("-y", "nosuch/volumes/stray"), "nosuch"},
		"no such orphan":   {args("-y", "default/volumes/nosuch"), `removing default/volumes/nosuch: there is no "volumes/nosuch" in the pool`},
		"a volume":         {args("-y", "default/volumes/data"), `"volumes/data" is no orphan: volume data has its place there`},
		"out of the pool":  {args("-y", "default/volumes/../../state"), "an orphan is at volumes/NAME"},
		"the pool's own":   {args("-y", "default/volumes"), "an orphan is at volumes/NAME"},
		"no driver":        {[]string{"orphans", "remove", "-y", "default/volumes/stray", "--endpoint", "unix://" + dir + "/nosuch"}, "the driver does not answer at"},
		"all of no pool":   {args("--all", "-y"), "--pool"},
		"all, no terminal": {args("--all", "--pool", "default="+d.PoolDir()), "give --yes"},
	} {
		if out, err := command(t, nil, c.args...).CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	// Others go though one cannot.
	out, err := command(t, nil, args("-y", "default/volumes/nosuch", "default/volumes/stray")...).CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "default/volumes/stray goes\n") {
		t.Errorf("%v\n%s", err, out)
	}
	gone("volumes/stray")
	if out := run(t, nil, args("--all", "--yes", "--pool", "default="+d.PoolDir())...); out != "\"default/volumes/a b\" goes\ndefault/snapshots/stray goes\n" {
		t.Errorf("it prints\n%s", out)
	}
	gone("volumes/a b", "snapshots/stray")
	if out := run(t, nil, args("--all", "--pool", "default="+d.PoolDir())...); out != "no orphans\n" {
		t.Errorf("it prints %q", out)
	}
	run(t, nil, "du", "--pool", "default="+d.PoolDir(), "data") // the volume is there
}

// TestAPersonIsAsked answers on a terminal, which is given back what is typed.
func TestAPersonIsAsked(t *testing.T) {
	d := process.Start(t, process.Options{})
	stray := filepath.Join(d.PoolDir(), "volumes", "stray\x1b[2J")
	must(t, os.Mkdir(stray, 0o755))
	for _, c := range []struct {
		typed, want string
		there       bool
	}{{"n\n", "hostpath-csi: nothing is done", true}, {"\n", "nothing is done", true}, {"yea\n", "nothing is done", true}, {"\x04", "nothing is done", true}, {"y\n", "goes", false}} {
		cmd := command(t, nil, "orphans", "remove", "--all", "--pool", "default="+d.PoolDir(), "--endpoint", d.Endpoint())
		terminal, err := pty.Start(cmd)
		must(t, err)
		_, err = io.WriteString(terminal, c.typed)
		must(t, err)
		out, _ := io.ReadAll(terminal)
		_ = terminal.Close()
		if err := cmd.Wait(); (err != nil) != c.there {
			t.Errorf("%q: %v", c.typed, err)
		}
		for _, want := range []string{"It removes, for good:\r\n  \"default/volumes/stray\\x1b[2J\"\r\nGo on? [y/N] ", c.want} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q: the terminal shows no %q:\n%q", c.typed, want, out)
			}
		}
		if _, err := os.Lstat(stray); (err == nil) != c.there {
			t.Errorf("%q: the orphan is there: %v", c.typed, err)
		}
	}
}

// TestAVolumeWhoseRecordIsLostIsListedByTheDriversWord, and is removed by its name alone.
func TestAVolumeWhoseRecordIsLostIsListedByTheDriversWord(t *testing.T) {
	dir := process.TempDir(t)
	d := process.Start(t, process.Options{Dir: dir})
	create(t, d, "kept")
	create(t, d, "lost")
	lost := filepath.Join(d.PoolDir(), "volumes", "lost")
	must(t, os.Rename(lost, filepath.Join(dir, "aside")))
	must(t, d.Delete("lost"))
	must(t, d.Terminate()) // which ends the record
	must(t, os.Rename(filepath.Join(dir, "aside"), lost))
	d = process.Start(t, process.Options{Dir: dir})
	args := func(more ...string) []string {
		return append([]string{"orphans", more[0], "--endpoint", d.Endpoint(), "--pool", "default=" + d.PoolDir()}, more[1:]...)
	}
	const want = "POOL      PATH           WHY\ndefault   volumes/lost   the driver has no record of it\n"
	if out := run(t, nil, args("ls")...); out != want {
		t.Errorf("it lists\n%s", out)
	}
	if out := run(t, nil, args("remove", "--all", "--yes")...); out != "no orphans\n" {
		t.Errorf("all that carries no record is\n%s", out)
	}
	_, err := os.Lstat(lost)
	must(t, err)
	if out := run(t, nil, args("remove", "--yes", "default/volumes/lost")...); out != "default/volumes/lost goes\n" {
		t.Errorf("it prints\n%s", out)
	}
	if out := run(t, nil, args("ls")...); out != "no orphans\n" {
		t.Errorf("it lists\n%s", out)
	}
	d.Kill() // without it, only the disk is looked at
	if out := run(t, nil, args("ls")...); out != "no orphans\n" {
		t.Errorf("it lists\n%s", out)
	}
	run(t, nil, "du", "--pool", "default="+d.PoolDir(), "kept")
}
