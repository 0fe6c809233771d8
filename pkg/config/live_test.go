package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// mounted is a ConfigMap as the kubelet mounts it: a link to a file in a directory
// that is another link's.
type mounted struct {
	*testing.T
	dir      string
	versions int
}

// put exchanges the contents as the kubelet does.
func (m *mounted) put(contents string) {
	m.Helper()
	m.versions++
	version := "..version-" + string(rune('a'+m.versions))
	must := func(err error) {
		if err != nil {
			m.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(m.dir, version), 0o755))
	must(os.WriteFile(filepath.Join(m.dir, version, "config.yaml"), []byte(contents), 0o644))
	must(os.Symlink(version, filepath.Join(m.dir, "..data_tmp")))
	must(os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")))
	if m.versions == 1 {
		must(os.Symlink("..data/config.yaml", filepath.Join(m.dir, "config.yaml")))
	}
}

func (m *mounted) file() string { return filepath.Join(m.dir, "config.yaml") }

// deadline bounds what takes milliseconds.
const deadline = 30 * time.Second

func TestAChangedFileIsInForceAndAWrongOneIsNot(t *testing.T) {
	m := &mounted{T: t, dir: t.TempDir()}
	m.put(onePool)
	checked := make(chan error, 100) // what became of each file that was looked at
	l, err := Open(m.file(), func(c *Configuration) error {
		if c.has("forbidden") {
			err := errors.New("not on this node")
			checked <- err
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	applied, ended := make(chan *Configuration), make(chan error, 1)
	refused := make(chan error, 100)
	go func() {
		ended <- l.Run(ctx, func(c *Configuration) { applied <- c }, func(err error) { refused <- err })
	}()
	await := func() *Configuration {
		t.Helper()
		select {
		case c := <-applied:
			return c
		case <-time.After(deadline):
			t.Fatalf("the change is not in force; %v", l.Err())
			return nil
		}
	}

	m.put(onePool + "  cordoned: true\n")
	if c := await(); !c.Pools[0].Cordoned || l.Current() != c || l.Err() != nil {
		t.Errorf("%+v, %v", c, l.Err())
	}
	good := l.Current()

	m.put(strings.Replace(onePool, "default", "forbidden", 1))
	select {
	case <-checked:
	case <-time.After(deadline):
		t.Fatal("the wrong file was not looked at")
	}
	if l.Err() == nil || l.Current() != good { // Err waits for load to end
		t.Errorf("%v, %+v", l.Err(), l.Current())
	}
	select {
	case err := <-refused:
		if err.Error() != "not on this node" || len(refused) > 0 {
			t.Errorf("%v is told, and %d more", err, len(refused))
		}
	case <-time.After(deadline):
		t.Fatal("what is wrong with the file is not told")
	}
	err = testutil.CollectAndCompare(l, strings.NewReader(`
# HELP hostpath_csi_config_generation How many configurations have been in force since the start; 1: that of the start.
# TYPE hostpath_csi_config_generation gauge
hostpath_csi_config_generation 2
# HELP hostpath_csi_config_last_reload_successful 1 if the configuration file as it is now is in force, 0 if it is wrong.
# TYPE hostpath_csi_config_last_reload_successful gauge
hostpath_csi_config_last_reload_successful 0
`), "hostpath_csi_config_generation", "hostpath_csi_config_last_reload_successful")
	if err != nil {
		t.Error(err)
	}

	m.put(onePool + "  overcommit: 2\n")
	if c := await(); c.Pools[0].Overcommit != 2 || l.Err() != nil {
		t.Errorf("%+v, %v", c, l.Err())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(l); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestAFileThatIsWrongAtTheStartIsAnError(t *testing.T) {
	m := &mounted{T: t, dir: t.TempDir()}
	m.put(onePool + "  size: 1\n")
	if _, err := Open(m.file(), func(*Configuration) error { return nil }); err == nil || !strings.Contains(err.Error(), m.file()+":6:9: pools[0].size: unknown key") {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(m.dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// What is wrong with a file may be mended elsewhere: the file is looked at again by itself, or at
// once when it is known what has changed.
func TestAFileThatWasRefusedIsLookedAtAgain(t *testing.T) {
	m := &mounted{T: t, dir: t.TempDir()}
	m.put(onePool)
	var wrong atomic.Pointer[string]
	l, err := Open(m.file(), func(*Configuration) error {
		if why := wrong.Load(); why != nil {
			return errors.New(*why)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	l.recheck = time.Millisecond
	told := make(chan string, 100)
	next := func() string {
		t.Helper()
		select {
		case what := <-told:
			return what
		case <-time.After(deadline):
			t.Fatal("nothing is told")
			return ""
		}
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- l.Run(ctx, func(*Configuration) { told <- "applied" }, func(err error) { told <- err.Error() })
	}()
	first, second := "a link on the way", "another link on the way"

	wrong.Store(&first)
	m.put(onePool + "  cordoned: true\n")
	if what := next(); what != first {
		t.Errorf("after a wrong edit: %s", what)
	}
	good := l.Current()
	wrong.Store(&second) // and not the first again, however often it is looked at
	if what := next(); what != second {
		t.Errorf("as something else is wrong: %s", what)
	}
	wrong.Store(nil)
	if what := next(); what != "applied" || !l.Current().Pools[0].Cordoned || l.Current() == good || l.Err() != nil {
		t.Errorf("once it is mended: %s, %+v, %v", what, l.Current(), l.Err())
	}

	// The same of the one that is in force: here nothing but Look tells that it is wrong now.
	wrong.Store(&first)
	l.Look()
	if what := next() + ", " + next(); what != first+", applied" || l.Err() == nil {
		t.Errorf("as what it depends on has changed: %s, %v", what, l.Err())
	}
	wrong.Store(nil)
	if what := next(); what != "applied" || l.Err() != nil {
		t.Errorf("once it is mended: %s, %v", what, l.Err())
	}
	l.Look()
	if what := next(); what != "applied" {
		t.Errorf("as what it depends on has changed for good: %s", what)
	}
	cancel()
	if err := <-ended; err != nil || len(told) > 0 {
		t.Errorf("%v; %d more are told", err, len(told))
	}
	if err := testutil.CollectAndCompare(l, strings.NewReader(`
# HELP hostpath_csi_config_generation How many configurations have been in force since the start; 1: that of the start.
# TYPE hostpath_csi_config_generation gauge
hostpath_csi_config_generation 2
`), "hostpath_csi_config_generation"); err != nil {
		t.Error(err)
	}
}
