package report

import "fmt"

// reference is what the reference driver, csi-driver-host-path 1.18, does in a
// second, by operation and number in flight, with 200 volumes existing at most.
// It stages and publishes; here that is one call.
var reference = map[string]map[int]float64{
	Create:    {1: 1307, 8: 2323, 32: 1948},
	Publish:   {1: 122, 8: 125, 32: 98},
	Stats:     {1: 253, 8: 272, 32: 165},
	Expand:    {1: 1088, 8: 1690, 32: 1506},
	Unpublish: {1: 89, 8: 100, 32: 97},
	Delete:    {1: 1684, 8: 2111, 32: 2454},
	Cycle:     {1: 46, 8: 48, 32: 40},
}

// The goals, by number in flight where they differ.
var (
	cycleOfFloor    = map[int]float64{1: 0.35, 8: 0.40}
	timesReference  = map[string]float64{Publish: 30, Unpublish: 30, Stats: 40}
	createReference = map[int]float64{1: 1, 8: 2, 32: 2}
)

const (
	createWhenFull  = 0.90
	idleMiB         = 40
	fullMiB         = 150
	readySeconds    = 2
	fullMeans       = 100_000
	bytesPerMiB     = 1 << 20
	atLeast, atMost = "at least", "at most"
)

// Goal is one figure that the driver shall reach, and what it did.
type Goal struct {
	What     string  `json:"what"`
	Bound    string  `json:"bound"`
	Want     float64 `json:"want"`
	Got      float64 `json:"got"`
	Unit     string  `json:"unit"`
	Achieved bool    `json:"achieved"`
}

func newGoal(what, bound string, want, got float64, unit string) Goal {
	achieved := got >= want
	if bound == atMost {
		achieved = got <= want
	}
	return Goal{What: what, Bound: bound, Want: want, Got: got, Unit: unit, Achieved: achieved}
}

// Judge fills in the goals from what was measured. A figure that was not measured
// has no goal. Rates are judged with the fewest volumes existing; memory and
// starts with the most, if these are at least as many as the goals are meant for.
func (r *Result) Judge() {
	r.Goals = nil
	all := r.existing()
	if len(all) == 0 {
		return
	}
	few, many := all[0], all[len(all)-1]
	r.judgeRates(few)
	if many > few {
		r.judgeFullCreate(few, many)
	}
	r.judgeMemory(few, many)
	r.judgeStarts(many)
}

func (r *Result) judgeRates(existing int) {
	inFlight := r.inFlight()
	for _, n := range inFlight {
		if row, ok := r.row(Cycle, existing, n); ok && cycleOfFloor[n] > 0 {
			r.add(newGoal(fmt.Sprintf("full cycles, %d in flight", n), atLeast, cycleOfFloor[n], row.FloorRatio, "of the floor"))
		}
	}
	for _, op := range []string{Publish, Unpublish, Stats} {
		for _, n := range inFlight {
			if row, ok := r.row(op, existing, n); ok && row.Reference > 0 {
				r.add(newGoal(fmt.Sprintf("%s, %d in flight", op, n), atLeast, timesReference[op], row.TimesReference(), "times the reference"))
			}
		}
	}
	for _, n := range inFlight {
		if row, ok := r.row(Create, existing, n); ok && row.Reference > 0 {
			r.add(newGoal(fmt.Sprintf("create, %d in flight", n), atLeast, createReference[n], row.TimesReference(), "times the reference"))
		}
	}
}

// judgeFullCreate compares the rate of creating among many volumes with that of
// creating among few. The rates, and not the ratios to the floor: the floor's own
// mkdir takes a different time in a disk's other corners.
func (r *Result) judgeFullCreate(few, many int) {
	for _, n := range r.inFlight() {
		a, okA := r.row(Create, few, n)
		b, okB := r.row(Create, many, n)
		if okA && okB && a.PerSecond > 0 {
			r.add(newGoal(fmt.Sprintf("create among %d volumes, %d in flight", many, n), atLeast, createWhenFull,
				b.PerSecond/a.PerSecond, fmt.Sprintf("of that among %d", few)))
		}
	}
}

func (r *Result) judgeMemory(few, many int) {
	var most uint64
	for _, m := range r.Memory {
		if m.When == Idle && m.Existing == few {
			r.add(newGoal("memory, idle", atMost, idleMiB, float64(m.RSS)/bytesPerMiB, "MiB"))
		}
		if m.Existing == many {
			most = max(most, m.RSS)
		}
	}
	if many >= fullMeans {
		r.add(newGoal(fmt.Sprintf("memory, %d volumes", many), atMost, fullMiB, float64(most)/bytesPerMiB, "MiB"))
	}
}

func (r *Result) judgeStarts(many int) {
	var slowest float64
	for _, s := range r.Starts {
		if s.Existing == many {
			slowest = max(slowest, s.ReadySeconds)
		}
	}
	if slowest > 0 {
		r.add(newGoal(fmt.Sprintf("ready with %d volumes", many), atMost, readySeconds, slowest, "s"))
	}
}

func (r *Result) add(g Goal) { r.Goals = append(r.Goals, g) }

// inFlight returns the numbers in flight that were measured, in their order.
func (r *Result) inFlight() []int {
	var all []int
	seen := map[int]bool{}
	for _, row := range r.Rows {
		if !seen[row.InFlight] {
			seen[row.InFlight] = true
			all = append(all, row.InFlight)
		}
	}
	return all
}

// Empty tells that nothing was measured yet.
func (r *Result) Empty() bool { return len(r.Rows) == 0 }

// Missed returns the goals that were not reached.
func (r *Result) Missed() []Goal { return missed(r.Goals) }

func missed(goals []Goal) (missed []Goal) {
	for _, g := range goals {
		if !g.Achieved {
			missed = append(missed, g)
		}
	}
	return missed
}
