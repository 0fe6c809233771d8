// Package report keeps what was measured, compares it with the goals, and shows
// it to people and machines.
package report

import (
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/machine"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
)

// The operations that are measured, in the order of a volume's life.
const (
	Create      = "create"
	CreateAgain = "create again"
	Publish     = "publish"
	EmptyCall   = "empty call"
	Stats       = "stats"
	List        = "list"
	Expand      = "expand"
	Unpublish   = "unpublish"
	Delete      = "delete"
	Cycle       = "full cycle"
)

// Result is everything that one run measured.
type Result struct {
	Machine machine.Facts `json:"machine"`
	// Driver is the driver's own name and version.
	Driver      string       `json:"driver"`
	Rows        []Row        `json:"rows"`
	Populations []Population `json:"populations"`
	Memory      []Memory     `json:"memory"`
	Starts      []Start      `json:"starts"`
	Goals       []Goal       `json:"goals"`
}

// Row is one operation, with so many volumes existing and so many in flight.
// Rates and ratios are medians over the rounds; latencies are of all rounds together.
type Row struct {
	Operation string  `json:"operation"`
	Existing  int     `json:"existing"`
	InFlight  int     `json:"inFlight"`
	Count     int     `json:"count"`
	PerSecond float64 `json:"perSecond"`
	P50Micros float64 `json:"p50Micros"`
	P95Micros float64 `json:"p95Micros"`
	P99Micros float64 `json:"p99Micros"`
	// FloorPerSecond is the rate of the bare system calls, and FloorRatio the
	// driver's to it; 0: this operation has no floor.
	FloorPerSecond float64 `json:"floorPerSecond,omitempty"`
	FloorRatio     float64 `json:"floorRatio,omitempty"`
	// EmptyCallRatio is the rate's to that of calls that do nothing.
	EmptyCallRatio float64 `json:"emptyCallRatio,omitempty"`
	// Reference is the rate of the reference driver; 0: it has none.
	Reference float64 `json:"reference,omitempty"`
	// CPUSeconds is the driver's processor time, what it does after the answer included.
	CPUSeconds float64 `json:"cpuSeconds"`
}

// TimesReference is the rate as a multiple of the reference driver's.
func (r Row) TimesReference() float64 {
	if r.Reference == 0 {
		return 0
	}
	return r.PerSecond / r.Reference
}

// Population is the creation of the volumes that exist while others are measured.
type Population struct {
	From       int     `json:"from"`
	To         int     `json:"to"`
	InFlight   int     `json:"inFlight"`
	Seconds    float64 `json:"seconds"`
	PerSecond  float64 `json:"perSecond"`
	CPUSeconds float64 `json:"cpuSeconds"`
}

// When the driver's memory was looked at.
const (
	Idle      = "idle"
	Populated = "populated"
	AfterLoad = "after load"
	Restarted = "restarted"
)

// Memory is what the driver has in memory at one time.
type Memory struct {
	When     string `json:"when"`
	Existing int    `json:"existing"`
	process.Memory
}

// Start is a start of the driver, from its execution to a Probe that says ready,
// with so many volumes existing.
type Start struct {
	Existing     int     `json:"existing"`
	ReadySeconds float64 `json:"readySeconds"`
	// StopSeconds is how long the process before took to end after SIGTERM.
	StopSeconds float64 `json:"stopSeconds"`
}

// row returns the row of an operation, and whether it was measured.
func (r Result) row(operation string, existing, inFlight int) (Row, bool) {
	for _, row := range r.Rows {
		if row.Operation == operation && row.Existing == existing && row.InFlight == inFlight {
			return row, true
		}
	}
	return Row{}, false
}

// existing returns the numbers of existing volumes that were measured, ascending.
func (r Result) existing() []int {
	var all []int
	for _, row := range r.Rows {
		if len(all) == 0 || all[len(all)-1] != row.Existing {
			all = append(all, row.Existing)
		}
	}
	return all
}
