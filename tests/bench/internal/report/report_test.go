package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
)

// sample is n operations at a rate.
func sample(n int, perSecond float64) load.Sample {
	return load.Sample{
		Elapsed:   time.Duration(float64(n) / perSecond * float64(time.Second)),
		Latencies: make([]time.Duration, n),
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-6*math.Max(1, math.Abs(b)) }

func TestSeriesComparesRoundByRound(t *testing.T) {
	s := &Series{Operation: Publish, InFlight: 8}
	empty := &Series{Operation: EmptyCall, InFlight: 8}
	for _, round := range []struct{ driver, floor, empty float64 }{{400, 1000, 800}, {40, 80, 80}, {500, 1000, 2000}} {
		s.Add(sample(100, round.driver), round.floor, 0.5)
		empty.Add(sample(100, round.empty), 0, 0)
	}
	s.Compare(empty)
	row := s.Row()
	for _, tc := range []struct {
		name      string
		got, want float64
	}{
		{"count", float64(row.Count), 300},
		{"rate", row.PerSecond, 400},
		{"floor", row.FloorPerSecond, 1000},
		{"of floor", row.FloorRatio, 0.5},
		{"of empty call", row.EmptyCallRatio, 0.5},
		{"reference", row.Reference, 125},
		{"times reference", row.TimesReference(), 3.2},
		{"CPU", row.CPUSeconds, 1.5},
	} {
		if !near(tc.got, tc.want) {
			t.Errorf("%s = %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

// full is a result that reaches every goal by a hair.
func full() *Result {
	const mib = 1 << 20
	r := &Result{
		Memory: []Memory{
			{When: Idle, Memory: process.Memory{RSS: 40 * mib}},
			{When: Populated, Existing: 100_000, Memory: process.Memory{RSS: 120 * mib}},
			{When: AfterLoad, Existing: 100_000, Memory: process.Memory{RSS: 150 * mib}},
		},
		Starts: []Start{{Existing: 0, ReadySeconds: 9}, {Existing: 100_000, ReadySeconds: 2}, {Existing: 100_000, ReadySeconds: 1}},
	}
	for _, existing := range []int{0, 100_000} {
		for _, n := range []int{1, 8, 32} {
			r.Rows = append(r.Rows,
				Row{Operation: Create, Existing: existing, InFlight: n, PerSecond: createReference[n] * reference[Create][n], Reference: reference[Create][n], FloorRatio: 0.5},
				Row{Operation: Publish, Existing: existing, InFlight: n, PerSecond: 30 * reference[Publish][n], Reference: reference[Publish][n]},
				Row{Operation: Unpublish, Existing: existing, InFlight: n, PerSecond: 30 * reference[Unpublish][n], Reference: reference[Unpublish][n]},
				Row{Operation: Stats, Existing: existing, InFlight: n, PerSecond: 40 * reference[Stats][n], Reference: reference[Stats][n]},
				Row{Operation: Cycle, Existing: existing, InFlight: n, FloorRatio: 0.40},
			)
		}
	}
	return r
}

func TestJudgeKnowsEveryGoal(t *testing.T) {
	r := full()
	r.Judge()
	if want := 2 + 3*3 + 3 + 3 + 2 + 1; len(r.Goals) != want {
		t.Errorf("%d goals, want %d: %+v", len(r.Goals), want, r.Goals)
	}
	if missed := r.Missed(); len(missed) != 0 {
		t.Errorf("missed: %+v", missed)
	}
}

func TestJudgeSeesWhatIsMissed(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*Result)
		want  string
	}{
		{"cycle", func(r *Result) { r.Rows[9].FloorRatio = 0.39 }, "full cycles, 8 in flight"},
		{"publish", func(r *Result) { r.Rows[1].PerSecond-- }, "publish, 1 in flight"},
		{"unpublish", func(r *Result) { r.Rows[12].PerSecond-- }, "unpublish, 32 in flight"},
		{"stats", func(r *Result) { r.Rows[3].PerSecond-- }, "stats, 1 in flight"},
		{"create", func(r *Result) { r.Rows[5].PerSecond-- }, "create, 8 in flight"},
		{"create among many", func(r *Result) { r.Rows[15].PerSecond *= 0.89 }, "create among 100000 volumes, 1 in flight"},
		{"idle", func(r *Result) { r.Memory[0].RSS++ }, "memory, idle"},
		{"full", func(r *Result) { r.Memory[2].RSS++ }, "memory, 100000 volumes"},
		{"start", func(r *Result) { r.Starts[1].ReadySeconds = 2.01 }, "ready with 100000 volumes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := full()
			tc.spoil(r)
			r.Judge()
			missed := r.Missed()
			if len(missed) != 1 || missed[0].What != tc.want {
				t.Errorf("missed %+v, want %q alone", missed, tc.want)
			}
		})
	}
}

func TestTableShowsMissedGoals(t *testing.T) {
	r := full()
	r.Rows[1].PerSecond = 1
	r.Judge()
	var out strings.Builder
	if err := r.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"With 0 volumes existing", "With 100000 volumes existing", "create among 100000 volumes, 32 in flight", "NO"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table does not show %q:\n%s", want, out.String())
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "-", 0.456: "0.46", 12.34: "12.3", 1234.5: "1234"} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %s, want %s", v, got, want)
		}
	}
}
