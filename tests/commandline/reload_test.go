package commandline

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// edited is a driver whose configuration file is edited while it runs.
type edited struct {
	*testing.T
	*process.Driver
	generation float64
}

// edit replaces the file as an editor does, by a rename.
func (e *edited) edit(pools, rest string) {
	e.Helper()
	contents := "apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\npools:\n" + strings.ReplaceAll(pools, "DIR", e.Dir) + "\n" + rest + "\n"
	next := filepath.Join(e.Dir, "next.yaml")
	must(e.T, os.WriteFile(next, []byte(contents), 0o644))
	must(e.T, os.Rename(next, filepath.Join(e.Dir, "config.yaml")))
}

// change edits the file and waits until the change is in force.
func (e *edited) change(pools, rest string) {
	e.Helper()
	e.edit(pools, rest)
	e.generation++
	e.measures("hostpath_csi_config_generation", func(n float64) bool { return n == e.generation })
}

// measures waits until a metric is as it is to be.
func (e *edited) measures(metric string, is func(n float64) bool) {
	e.Helper()
	process.Eventually(e.T, metric, func() error {
		all, err := e.Metrics()
		if n, ok := all[metric]; err == nil && (!ok || !is(n)) {
			err = fmt.Errorf("it is %v (%v)", n, ok)
		}
		return err
	})
}

// answers wants a creation in a pool to be answered so; "" leaves the pool to the defaults.
func (e *edited) answers(name, pool string, want codes.Code) {
	e.Helper()
	parameters := map[string]string{}
	if pool != "" {
		parameters["pool"] = pool
	}
	if _, err := e.CreateWith(name, 1<<20, parameters); status.Code(err) != want {
		e.Errorf("creating %s in pool %q is answered %v; want %v", name, pool, err, want)
	}
}

func (e *edited) readyz() string {
	e.Helper()
	r, err := http.Get("http://" + e.MetricsAddress() + "/readyz")
	must(e.T, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(e.T, err)
	return string(b)
}

const onlyDefault = "- {name: default, path: DIR/pool}"

// Each line of the table in docs/configuration.md, of what a change of the file does.
func TestTheConfigurationFileIsFollowed(t *testing.T) {
	e := &edited{t, process.Start(t, process.Options{Metrics: true, Config: "log: {verbosity: 0}"}), 1}

	e.change(onlyDefault, `defaults: {mode: "0750", gid: 7}`)
	e.answers("a", "", codes.OK)
	info, err := os.Stat(filepath.Join(e.PoolDir(), "volumes", "a"))
	must(t, err)
	if info.Mode().Perm() != 0o750 {
		t.Errorf("after a change of the defaults a volume has the mode %v", info.Mode())
	}

	e.answers("too-early", "second", codes.ResourceExhausted)
	const two = onlyDefault + "\n- {name: second, path: DIR/second, labels: {tier: fast}}"
	e.change(two, "")
	e.measures(`hostpath_csi_pool_usable{pool="second"}`, func(n float64) bool { return n == 1 })
	e.answers("b", "second", codes.OK)
	if _, err := e.CreateWith("by-label", 1<<20, map[string]string{"poolSelector": "tier=fast"}); err != nil {
		t.Error(err)
	}
	must(t, e.Delete("by-label"))

	before, err := e.Metrics()
	must(t, err)
	size := before[`hostpath_csi_pool_size_bytes{pool="second"}`]
	e.change(onlyDefault+"\n- {name: second, path: DIR/second, reserve: 50%}", "")
	e.measures(`hostpath_csi_pool_reserved_bytes{pool="second"}`, func(n float64) bool { return n > 0.49*size && n < 0.51*size })
	e.change(onlyDefault+"\n- {name: second, path: DIR/second, overcommit: 0.01}", "")
	e.measures(`hostpath_csi_pool_available_bytes{pool="second"}`, func(n float64) bool { return n < 0.011*size })
	e.change(onlyDefault+"\n- {name: second, path: DIR/second, cordoned: true}", "")
	e.measures(`hostpath_csi_pool_cordoned{pool="second"}`, func(n float64) bool { return n == 1 })
	e.answers("cordoned", "second", codes.ResourceExhausted)
	must(t, e.Expand("b", 2<<20))

	e.change(two, "log: {verbosity: 4, format: json}")
	e.answers("c", "second", codes.OK)
	process.Eventually(t, "calls are logged in JSON", func() error {
		for line := range strings.Lines(e.Log()) {
			if strings.Contains(line, "CreateVolume") && json.Valid([]byte(line)) {
				return nil
			}
		}
		return fmt.Errorf("the log is:\n%s", e.Log())
	})

	e.edit(two, "colour: red")
	e.measures("hostpath_csi_config_last_reload_successful", func(n float64) bool { return n == 0 })
	if told := e.readyz(); !strings.HasPrefix(told, "ok\n") || !strings.Contains(told, e.Dir+"/config.yaml:6:9: colour: unknown key") {
		t.Errorf("of a mistake, /readyz tells:\n%s", told)
	}
	e.answers("d", "second", codes.OK) // by the last good one
	e.edit(two, "log: {verbosity: 4, format: json}")
	e.measures("hostpath_csi_config_last_reload_successful", func(n float64) bool { return n == 1 })
	if told := e.readyz(); told != "ok\n" {
		t.Errorf("once it is mended, /readyz tells:\n%s", told)
	}

	// A pool that has volumes is let go only when it has none.
	e.change(onlyDefault, "")
	e.measures(`hostpath_csi_pool_cordoned{pool="second"}`, func(n float64) bool { return n == 1 })
	e.answers("drained", "second", codes.ResourceExhausted)
	target := filepath.Join(e.Dir, "target")
	must(t, e.Publish("b", target))
	must(t, e.Unpublish("b", target))
	for _, id := range []string{"b", "c", "d"} {
		must(t, e.Delete(id))
	}
	process.Eventually(t, "the pool is let go", func() error {
		all, err := e.Metrics()
		if _, there := all[`hostpath_csi_pool_usable{pool="second"}`]; there {
			err = fmt.Errorf("it is still there")
		}
		return err
	})
	if _, err := os.Stat(filepath.Join(e.Dir, "second", ".hostpath-csi.json")); err != nil {
		t.Errorf("the directory of a pool that was let go: %v", err)
	}
}
