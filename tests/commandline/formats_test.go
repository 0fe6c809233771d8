package commandline

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// Whatever lists something gives programs one object with one list in it, the same in JSON and YAML,
// also if there is nothing.
func TestWhateverListsSomethingDoesSoForPrograms(t *testing.T) {
	d := process.Start(t, process.Options{})
	look := func(when string) {
		for verb, lists := range verbs {
			if !lists {
				continue
			}
			given := func(format string) (list map[string][]any) {
				t.Helper()
				cmd := command(t, nil, append(strings.Fields(verb), "-o", format, "--pool", "default="+d.PoolDir())...)
				out, ended := cmd.Output() // doctor may find what fails here
				if err := yaml.UnmarshalStrict(out, &list); err != nil || len(list) != 1 {
					t.Errorf("%s, %s -o %s gives %d lists (%v):\n%s", when, verb, format, len(list), err, out)
				}
				var failed *exec.ExitError
				if ended != nil && !(errors.As(ended, &failed) && verb == "doctor") {
					t.Errorf("%s, %s -o %s: %v", when, verb, format, ended)
				}
				if format == "json" && !json.Valid(out) {
					t.Errorf("%s, %s -o json is no JSON:\n%s", when, verb, out)
				}
				return list
			}
			inJSON, inYAML := given("json"), given("yaml")
			for name, items := range inJSON {
				if items == nil || len(items) != len(inYAML[name]) {
					t.Errorf("%s, %s lists %d %s in JSON, and %d in YAML", when, verb, len(items), name, len(inYAML[name]))
				}
			}
		}
	}
	look("in an empty pool")
	create(t, d, "data")
	must(t, os.Mkdir(filepath.Join(d.PoolDir(), "volumes", "stray"), 0o755))
	look("in a pool with a volume and an orphan")
}
