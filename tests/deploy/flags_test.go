package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var helpFlag = regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`)

// The driver that is built from here knows every flag and variable that it is given.
func TestTheDriverKnowsItsFlags(t *testing.T) {
	program := filepath.Join(t.TempDir(), "hostpath-csi")
	build := exec.Command("go", "build", "-o", program, "./cmd/hostpath-csi")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	known := func(role string) (names []string) {
		out, err := exec.Command(program, role, "--help").CombinedOutput()
		if err != nil {
			t.Fatalf("%s --help: %v: %s", role, err, out)
		}
		for _, m := range helpFlag.FindAllStringSubmatch(string(out), -1) {
			names = append(names, m[1])
		}
		return names
	}
	roles := map[string]bool{}
	for name, objects := range everything(t) {
		for _, o := range objects {
			for _, container := range list(o.podSpec(), "containers") {
				if at(container, "name") != "hostpath-csi" {
					continue
				}
				role := texts(container, "args")[0]
				roles[role] = true
				names := known(role)
				for flag := range flags(container) {
					if !slices.Contains(names, flag) {
						t.Errorf("%s: %s has no flag --%s", name, role, flag)
					}
				}
				for _, variable := range list(container, "env") {
					flag, ok := strings.CutPrefix(fmt.Sprint(at(variable, "name")), "HOSTPATH_CSI_")
					flag = strings.ToLower(strings.ReplaceAll(flag, "_", "-"))
					if ok && !slices.Contains(names, flag) {
						t.Errorf("%s: %s has no flag --%s for an environment variable", name, role, flag)
					}
				}
			}
		}
	}
	if len(roles) != 3 {
		t.Errorf("of the roles, %v are installed", roles)
	}
}

// Whoever reads docs/install.md knows why each flag of a sidecar is there.
func TestEveryFlagOfASidecarIsExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"csi-address"} // where the driver is
	for line := range strings.Lines(string(page)) {
		cell, row := strings.CutPrefix(line, "| `--")
		cell, _, _ = strings.Cut("`--"+cell, " | ")
		for _, m := range tableFlag.FindAllStringSubmatch(cell, -1) {
			if row {
				names = append(names, m[1])
			}
		}
	}
	explained := func(flag string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			prefix, many := strings.CutSuffix(name, "*")
			return name == flag || many && strings.HasPrefix(flag, prefix)
		})
	}
	seen := map[string]bool{}
	for name, objects := range everything(t) {
		for _, o := range objects {
			for _, container := range list(o.podSpec(), "containers") {
				if at(container, "name") == "hostpath-csi" {
					continue
				}
				for flag := range flags(container) {
					seen[flag] = true
					if !explained(flag) {
						t.Errorf("%s: docs/install.md does not say why %v has --%s", name, at(container, "name"), flag)
					}
				}
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("the sidecars have only the flags %v", seen)
	}
}

// tableFlag is one in a table, by its name: `--timeout=60s`, `--capacity-*`.
var tableFlag = regexp.MustCompile("`--([a-z-]+\\*?)[=`]")
