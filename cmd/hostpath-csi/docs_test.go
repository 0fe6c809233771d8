package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/" + name)
	must(t, err)
	return string(b)
}

// The table of docs/parameters.md has every flag of each role, and no other.
func TestThePageHasTheFlagsOfTheRoles(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| (?:`-v`, )?`--([a-z-]+)` \\| ([a-z, ]+) \\|").FindAllStringSubmatch(page(t, "parameters.md"), -1)
	told := map[string][]string{}
	for _, row := range rows {
		roles := strings.Split(row[2], ", ")
		if row[2] == "all" {
			roles = []string{"standalone", "node", "controller"}
		}
		for _, role := range roles {
			told[role] = append(told[role], row[1])
		}
	}
	for _, role := range []string{"standalone", "node", "controller"} {
		cmd, _, err := newRootCommand().Find([]string{role})
		must(t, err)
		var has []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				has = append(has, f.Name)
			}
		})
		slices.Sort(has)
		slices.Sort(told[role])
		if !slices.Equal(has, told[role]) {
			t.Errorf("%s has the flags\n%q\nthe page\n%q", role, has, told[role])
		}
	}
}

// What docs/configuration.md shows of the command config is what it prints.
func TestThePageShowsWhatConfigPrints(t *testing.T) {
	shown := page(t, "configuration.md")
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("config.yaml", []byte(mustExecute(t, "config", "default")), 0o644))
	if out := mustExecute(t, "config", "check", "config.yaml"); !strings.Contains(shown, "\n$ hostpath-csi config check config.yaml\n"+out) {
		t.Errorf("of the default file it prints:\n%s", out)
	}
	const wrong = `apiVersion: hostpath-csi.dev/v1alpha1
kind: Configuration

# The disks of the workers.
pools:
- name: default
  path: srv/pool
  reserve: 10GB
  size: 1Gi
`
	must(t, os.WriteFile("config.yaml", []byte(wrong), 0o644))
	if _, err := execute(t, "config", "check", "config.yaml"); err == nil || !strings.Contains(shown, "\nhostpath-csi: "+err.Error()+"\n") {
		t.Errorf("of a wrong file it prints:\nhostpath-csi: %v", err)
	}
}
