package report

import (
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
)

const (
	createMillis  = 50
	inDriver      = 10 // percent of a claim's time
	writes        = 4
	nodeMiB       = 40
	controllerMiB = 80
	many          = 500 // claims for which the goals are meant
	bytesPerMiB   = 1 << 20
)

// Goal is one figure that shall not be exceeded, and what was measured.
type Goal struct {
	What    string  `json:"what"`
	Most    float64 `json:"most"`
	Got     float64 `json:"got"`
	Unit    string  `json:"unit"`
	Reached bool    `json:"reached"`
}

// Judge fills in the goals, from the cases that have as many claims as these are meant for.
func (r *Result) Judge() {
	r.Goals = nil
	for _, c := range r.Cases {
		if c.Claims < many {
			continue
		}
		goal := func(what string, most, got float64, unit string) {
			r.Goals = append(r.Goals, Goal{What: fmt.Sprintf("%s, %d %s", what, c.Claims, c.Binding), Most: most, Got: got, Unit: unit, Reached: got <= most})
		}
		if !c.Create.Traced {
			goal("CreateVolume in the driver, p50", createMillis, c.Create.Driver.P50*1e3, "ms")
		}
		goal("in the driver, until bound", inDriver, c.Create.inDriver()*100, "% of the claim's time")
		if c.Create.Traced && c.Create.Untold == "" {
			goal("API writes of the driver, create", writes, c.Create.writes(), "per volume")
		}
		if c.Delete.Traced && c.Delete.Untold == "" {
			goal("API writes of the driver, delete", writes, c.Delete.writes(), "per volume")
		}
		goal("memory, node plugin", nodeMiB, c.Memory[audit.Node]/bytesPerMiB, "MiB")
		goal("memory, controller", controllerMiB, c.Memory[audit.Controller]/bytesPerMiB, "MiB")
	}
}

// Missed tells whether a goal was not reached.
func (r *Result) Missed() bool {
	for _, g := range r.Goals {
		if !g.Reached {
			return true
		}
	}
	return false
}
