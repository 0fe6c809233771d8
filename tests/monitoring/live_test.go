package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// patience bounds what must happen soon; only a failing test waits that long.
const patience = time.Minute

func TestMetricsAreWellFormedAndDocumented(t *testing.T) {
	d := process.Start(t, process.Options{Metrics: true, Config: "log: {verbosity: 1}"})
	live(t, d, "a")
	scraped, err := d.Scrape()
	must(t, err)
	promtool(t, t.TempDir(), scraped, "check", "metrics")

	named := regexp.MustCompile(`(?m)^# TYPE (hostpath_csi_\w+) `).FindAllStringSubmatch(string(scraped), -1)
	if len(named) < 10 {
		t.Errorf("only %d metrics are scraped", len(named))
	}
	told := documented(t)
	for _, m := range named {
		if _, ok := told[m[1]]; !ok {
			t.Errorf("%s does not tell of %s", metricsFile, m[1])
		}
	}
	for name, labels := range told {
		if !slices.ContainsFunc(named, func(m []string) bool { return m[1] == name }) {
			t.Errorf("%s tells of %s, which is not scraped", metricsFile, name)
		}
		samples := regexp.MustCompile(`(?m)^`+name+`(?:_bucket|_sum|_count)?(?:\{(.*)\})? `).FindAllStringSubmatch(string(scraped), -1)
		for _, sample := range samples {
			var has []string
			for _, label := range regexp.MustCompile(`(\w+)="[^"]*"`).FindAllStringSubmatch(sample[1], -1) {
				if label[1] != "le" {
					has = append(has, label[1])
				}
			}
			if slices.Sort(has); !slices.Equal(has, labels) {
				t.Errorf("%s tells of %s with the labels %q; it is scraped with %q", metricsFile, name, labels, has)
				break
			}
		}
	}
}

// documented returns the metrics that docs/metrics.md tells of, each with its labels in order.
func documented(t *testing.T) map[string][]string {
	t.Helper()
	doc, err := os.ReadFile(metricsFile)
	must(t, err)
	all := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(hostpath_csi_\\w+)` \\| (.*?) ?\\| (?:both|node) \\| ").FindAllStringSubmatch(string(doc), -1) {
		var labels []string
		for _, label := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1) {
			labels = append(labels, label[1])
		}
		slices.Sort(labels)
		all[row[1]] = labels
	}
	return all
}

// However many volumes there were, and whatever they were called, Prometheus has no more to keep.
func TestSeriesDoNotGrowWithVolumes(t *testing.T) {
	d := process.Start(t, process.Options{Metrics: true, Config: "log: {verbosity: 1}"})
	series := func() map[string]bool {
		t.Helper()
		scraped, err := d.Scrape()
		must(t, err)
		all := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^hostpath_csi_\w+(?:\{.*\})? `).FindAllString(string(scraped), -1) {
			all[m] = true
		}
		return all
	}
	live(t, d, "first")
	before := series()
	for n := range 10 {
		live(t, d, fmt.Sprintf("volume-%d", n))
		if err := d.Delete(fmt.Sprintf("there-is-none-%d", n)); err != nil {
			t.Error(err)
		}
	}
	for s := range series() {
		if !before[s] {
			t.Errorf("this came with more volumes: %s", s)
		}
	}
}

// TestDashboardShowsData has Prometheus scrape a driver that does something, and every
// query of the dashboard, and of the alerts without their thresholds, find series.
func TestDashboardShowsData(t *testing.T) {
	d := process.Start(t, process.Options{Metrics: true, Config: "log: {verbosity: 1}"})
	p := startPrometheus(t, d.MetricsAddress())
	for _, q := range queries(t) {
		deadline := time.Now().Add(patience)
		for n := 0; ; n++ {
			live(t, d, fmt.Sprintf("volume-%d", n%3)) // rates need something that goes on
			series, err := p.query(q)
			if err == nil && series > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("no data for %s: %v", q, err)
				break
			}
		}
	}
}

// live makes calls of every kind, some of which are refused.
func live(t *testing.T, d *process.Driver, name string) {
	t.Helper()
	target := filepath.Join(d.Dir, "target")
	id, err := d.Create(name, 1<<20)
	must(t, err)
	must(t, d.Publish(id, target))
	_, err = d.NodeGetVolumeStats(t.Context(), &csi.NodeGetVolumeStatsRequest{VolumeId: id, VolumePath: target})
	must(t, err)
	if err := d.Delete(id); err == nil {
		t.Fatal("a volume in use was deleted")
	}
	must(t, d.Unpublish(id, target))
	must(t, d.Delete(id))
}

// queries returns those of the dashboard, as Grafana sends them for "All", and those of
// the alerts up to their thresholds.
func queries(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(dashboardFile)
	must(t, err)
	var dashboard struct {
		Panels []struct {
			Type    string `json:"type"`
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	must(t, json.Unmarshal(b, &dashboard))
	fill := strings.NewReplacer("$instance", ".*", "$pool", ".*", "$__rate_interval", "1m")
	var all []string
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			all = append(all, fill.Replace(target.Expr))
		}
	}
	threshold := regexp.MustCompile(` (==|<|>) [0-9.]+( and .*| unless .*)?$`)
	rules, _ := alerts(t)
	for _, r := range rules {
		if strings.Contains(r.Expr, `code=~"Internal`) {
			continue // nothing goes wrong here
		}
		expr := r.Expr
		if threshold.MatchString(expr) {
			expr = threshold.ReplaceAllString(expr, "")
		} else {
			t.Errorf("%s has no threshold: %s", r.Alert, r.Expr)
		}
		all = append(all, expr)
	}
	if len(all) < 20 {
		t.Errorf("only %d queries were found", len(all))
	}
	return all
}

// prometheus is a running Prometheus.
type prometheus struct{ address string }

// startPrometheus has one scrape address every second, until the test ends.
func startPrometheus(t *testing.T, address string) prometheus {
	t.Helper()
	dir := process.TempDir(t)
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: hostpath-csi, static_configs: [{targets: [%q]}]}]\n", writeRules(t, dir), address)
	file := filepath.Join(dir, "prometheus.yaml")
	must(t, os.WriteFile(file, []byte(config), 0o644))
	p := prometheus{address: freeAddress(t)}
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	cmd := exec.Command("prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", p.address)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if b, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("log of Prometheus:\n%s", b)
		}
	})
	return p
}

// freeAddress returns an address of the loopback interface that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// query returns how many series an expression has now, NaN left out: that is what a
// quotient shows where there is nothing.
func (p prometheus) query(expr string) (series int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, errors.New(answer.Error)
	}
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			series++
		}
	}
	return series, nil
}
