package monitoring

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	ruleFile      = "../../deploy/monitoring/prometheusrule.yaml"
	dashboardFile = "../../deploy/monitoring/dashboard.json"
	runbookFile   = "../../docs/runbooks.md"
	metricsFile   = "../../docs/metrics.md"
)

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Annotations map[string]string `json:"annotations"`
}

type ruleGroups struct {
	Groups []struct {
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

// alerts returns the rules of the PrometheusRule, and its spec as Prometheus itself
// takes it: the operator hands it on as it is.
func alerts(t *testing.T) (all []rule, spec []byte) {
	t.Helper()
	b, err := os.ReadFile(ruleFile)
	must(t, err)
	var object struct {
		Spec json.RawMessage `json:"spec"`
	}
	must(t, yaml.UnmarshalStrict(b, &struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Metadata   json.RawMessage `json:"metadata"`
		Spec       json.RawMessage `json:"spec"`
	}{}))
	must(t, yaml.Unmarshal(b, &object))
	var groups ruleGroups
	must(t, json.Unmarshal(object.Spec, &groups))
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no rules", ruleFile)
	}
	return all, object.Spec
}

// writeRules writes the rules where Prometheus and promtool can read them.
func writeRules(t *testing.T, dir string) (path string) {
	t.Helper()
	_, spec := alerts(t)
	path = filepath.Join(dir, "rules.yaml")
	must(t, os.WriteFile(path, spec, 0o644)) // JSON is YAML
	return path
}

func promtool(t *testing.T, dir string, stdin []byte, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(string(stdin))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRulesAreWellFormed(t *testing.T) {
	dir := t.TempDir()
	promtool(t, dir, nil, "check", "rules", "--lint-fatal", writeRules(t, dir))
}

// TestAlertsFire runs the cases of alerts_test.yaml: when each alert fires, and when not.
func TestAlertsFire(t *testing.T) {
	dir := t.TempDir()
	writeRules(t, dir)
	cases, err := os.ReadFile("alerts_test.yaml")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "alerts_test.yaml"), cases, 0o644))
	promtool(t, dir, nil, "test", "rules", "alerts_test.yaml")
	all, _ := alerts(t)
	for _, r := range all {
		if !strings.Contains(string(cases), "alertname: "+r.Alert+"\n") {
			t.Errorf("alerts_test.yaml has no case for %s", r.Alert)
		}
	}
}

func TestEveryAlertHasARunbook(t *testing.T) {
	runbooks, err := os.ReadFile(runbookFile)
	must(t, err)
	all, _ := alerts(t)
	for _, r := range all {
		if !strings.Contains(string(runbooks), "\n## "+r.Alert+"\n") {
			t.Errorf("%s has no section %s", runbookFile, r.Alert)
		}
		if anchor := "docs/runbooks.md#" + strings.ToLower(r.Alert); !strings.HasSuffix(r.Annotations["runbook_url"], anchor) {
			t.Errorf("runbook_url of %s is %q; it shall end with %s", r.Alert, r.Annotations["runbook_url"], anchor)
		}
	}
}

// What the runbooks say that the log says, the driver logs.
func TestRunbooksQuoteMessagesThatThereAre(t *testing.T) {
	runbooks, err := os.ReadFile(runbookFile)
	must(t, err)
	quoted := regexp.MustCompile("`([A-Z][a-z]+( [a-z]+)+)`").FindAllStringSubmatch(string(runbooks), -1)
	if len(quoted) < 3 {
		t.Errorf("only %d messages are quoted", len(quoted))
	}
	var code strings.Builder
	must(t, filepath.WalkDir("../../pkg", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		code.Write(b)
		return err
	}))
	for _, q := range quoted {
		if !strings.Contains(code.String(), `"`+q[1]) {
			t.Errorf("%s quotes %q, which nothing logs", runbookFile, q[1])
		}
	}
}
