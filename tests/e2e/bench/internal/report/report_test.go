package report

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
)

var update = flag.Bool("update", false, "write what is wanted anew")

// measured is what a run might have measured: 100 claims at once, and 500, which miss some goals.
func measured() *Result {
	few := Case{
		Binding: "Immediate", Claims: 100,
		Create: Phase{
			Seconds: 20, Claim: Latency{10, 11, 18, 19}, Driver: Latency{0.024, 0.02, 0.05, 0.06}, Call: Latency{Mean: 0.026}, Work: Latency{Mean: 0.03}, Queue: Latency{Mean: 0.001},
			ManagerWaits: 12,
			Stages:       []audit.Stage{{Name: "controller manager: asks for a volume", Mean: 4}, {Name: "driver: makes the volume", Mean: 0.024}, {Name: "controller manager: binds", Mean: 5.976}},
			Calls: []audit.Calls{
				{Client: audit.Controller, Verb: "create", What: "hostpathvolumes", PerVolume: 1, Writes: true},
				{Client: audit.Controller, Verb: "get", What: "persistentvolumeclaims", PerVolume: 1},
				{Client: audit.Kubelet, Verb: "patch", What: "nodes/status", PerVolume: 0.04, Writes: true},
				{Client: audit.Node, Verb: "patch", What: "hostpathvolumes/status", PerVolume: 1.02, Writes: true},
				{Client: audit.Node, Verb: "patch", What: "hostpathnodes/status", PerVolume: 0.25, Writes: true},
			},
			CPU: map[string]float64{audit.Controller: 0.5, audit.Node: 1.5, "API server": 6}, Busy: 0.9,
		},
		Delete: Phase{Seconds: 8, Claim: Latency{4, 4.1, 7, 7.5}, CPU: map[string]float64{audit.Controller: 0.25}},
		Memory: map[string]float64{audit.Controller: 42 << 20, audit.Node: 35 << 20},
	}
	few.Create.Traced, few.Delete.Traced = true, true
	many := few
	many.Binding, many.Claims, many.Pods, many.PodsReady = "WaitForFirstConsumer", 500, 10, 130
	many.Create.Driver = Latency{2, 0.051, 0.2, 0.3}
	many.Create.Stages = append([]audit.Stage{{Name: "scheduler: chooses a node", Mean: 1}}, few.Create.Stages...)
	many.Delete.Calls = []audit.Calls{{Client: audit.Node, Verb: "patch", What: "hostpathvolumes", PerVolume: 4, Writes: true}}
	many.Memory = map[string]float64{audit.Controller: 80 << 20, audit.Node: 41 << 20}
	r := &Result{
		Cluster: Cluster{Date: "2026-01-01", Machine: "2 cores (of some kind)", Kubernetes: "v1.37.2", Nodes: 3, Driver: "hostpath-csi v0.1.0",
			Limits: map[string]string{audit.ControllerManager: "20 requests a second, bursts of 30"}},
		Cases: []Case{few, many},
	}
	r.Judge()
	return r
}

// untraced is what a run might have measured without an audit log.
func untraced() *Result {
	r := measured()
	for i := range r.Cases {
		for _, p := range []*Phase{&r.Cases[i].Create, &r.Cases[i].Delete} {
			p.Traced, p.Stages, p.Calls = false, nil, nil
		}
	}
	r.Judge()
	return r
}

func TestTheTableIsForPeople(t *testing.T) {
	wantTable(t, measured(), "table.golden")
}

func TestWithoutAnAuditLogTheTableTellsOfTimesOnly(t *testing.T) {
	wantTable(t, untraced(), "untraced.golden")
}

func wantTable(t *testing.T, r *Result, name string) {
	t.Helper()
	var out strings.Builder
	if err := r.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("it is\n%s\nnot\n%s", out.String(), want)
	}
}

func TestGoalsAreForAsManyClaimsAsTheyAreMeantFor(t *testing.T) {
	var missed []string
	r := measured()
	for _, g := range r.Goals {
		if !strings.HasSuffix(g.What, "500 WaitForFirstConsumer") {
			t.Errorf("a goal is judged by %s", g.What)
		}
		if !g.Reached {
			missed = append(missed, strings.Split(g.What, ",")[0])
		}
	}
	if want := []string{"in the driver", "memory"}; !slices.Equal(missed, want) {
		t.Errorf("missed are %q, not %q", missed, want)
	}
	if len(r.Goals) != 5 || !r.Missed() {
		t.Errorf("%d goals, missed: %v", len(r.Goals), r.Missed())
	}
	r.Cases = r.Cases[:1]
	r.Judge()
	if len(r.Goals) != 0 || r.Missed() {
		t.Errorf("with 100 claims there are goals: %v", r.Goals)
	}
}

// An audit log has the API server take longer, and alone tells of its calls.
func TestTheDriversTimeIsJudgedWithoutAnAuditLogAndItsCallsWithOne(t *testing.T) {
	judged := func(r *Result) (all []string) {
		for _, g := range r.Goals {
			all = append(all, strings.TrimSuffix(g.What, ", 500 WaitForFirstConsumer"))
		}
		return all
	}
	inDriver, memory := "in the driver, until bound", []string{"memory, node plugin", "memory, controller"}
	if got, want := judged(measured()), append([]string{inDriver, "API writes of the driver, create", "API writes of the driver, delete"}, memory...); !slices.Equal(got, want) {
		t.Errorf("with a log, %q is judged, not %q", got, want)
	}
	if got, want := judged(untraced()), append([]string{"CreateVolume in the driver, p50", inDriver}, memory...); !slices.Equal(got, want) {
		t.Errorf("without a log, %q is judged, not %q", got, want)
	}
}

func TestWhatCouldNotBeToldIsNoGoalReached(t *testing.T) {
	r := measured()
	r.Cases[1].Delete.Untold = "the log ended"
	r.Judge()
	for _, g := range r.Goals {
		if strings.HasPrefix(g.What, "API writes of the driver, delete") {
			t.Errorf("without a log of the deletion, %q is judged", g.What)
		}
	}
	if got := r.Untold(); len(got) != 1 || !strings.Contains(got[0], "delete of 500 claims, WaitForFirstConsumer: the log ended") {
		t.Errorf("untold is %q", got)
	}
}

func TestPercentilesAreOfTheNearestRank(t *testing.T) {
	var durations []time.Duration
	for i := range 20 {
		durations = append(durations, time.Duration(20-i)*time.Second)
	}
	if got, want := Of(durations), (Latency{Mean: 10.5, P50: 10, P95: 19, P99: 20}); got != want {
		t.Errorf("of 1 to 20 s: %+v, not %+v", got, want)
	}
	if got, want := Of(durations[:1]), (Latency{20, 20, 20, 20}); got != want {
		t.Errorf("of 20 s: %+v, not %+v", got, want)
	}
	if got := Of(nil); got != (Latency{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "-", 0.0004: "0.000", 0.05: "0.050", 0.25: "0.25", 3: "3.00", 12.34: "12.3", 99.96: "100", 1234: "1234"} {
		if got := number(v); got != want {
			t.Errorf("%v is shown as %s, not %s", v, got, want)
		}
	}
}

func TestTheResultIsForMachinesToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result.json")
	if err := measured().WriteJSON(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Cases) != 2 || back.Cases[1].Create.Stages[0].Mean != 1 || len(back.Goals) != 5 {
		t.Errorf("it was read as %+v", back)
	}
	if err := measured().WriteJSON(""); err != nil {
		t.Errorf("without a file: %v", err)
	}
}
