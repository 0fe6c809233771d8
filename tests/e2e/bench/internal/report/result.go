// Package report keeps what was measured of many claims at once, compares it with the goals, and
// shows it to people and machines.
package report

import (
	"fmt"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
)

// Result is everything that one run measured.
type Result struct {
	Cluster Cluster `json:"cluster"`
	Cases   []Case  `json:"cases"`
	Goals   []Goal  `json:"goals"`
}

// Cluster is what the figures depend on besides the driver.
type Cluster struct {
	Date       string `json:"date"`
	Machine    string `json:"machine"`
	Kubernetes string `json:"kubernetes"`
	Nodes      int    `json:"nodes"`
	Driver     string `json:"driver"`
	// Limits are the rates to which its clients hold themselves, by client.
	Limits map[string]string `json:"limits"`
}

// Case is so many claims at once: made, and deleted again.
type Case struct {
	Binding string `json:"binding"` // Immediate or WaitForFirstConsumer
	Claims  int    `json:"claims"`
	Pods    int    `json:"pods"`
	Create  Phase  `json:"create"`
	Delete  Phase  `json:"delete"`
	// PodsReady is when all pods were ready that use the claims; 0: there are none.
	PodsReady float64 `json:"podsReadySeconds,omitempty"`
	// Memory is what is resident with all volumes there, by process, in bytes; of
	// several processes of one kind, of the largest.
	Memory map[string]float64 `json:"memory"`
}

// Phase is the creation or the deletion of all claims of a case.
type Phase struct {
	Seconds float64 `json:"seconds"` // until the last was bound, or gone
	// Claim is how long a claim takes as its owner sees it.
	Claim Latency `json:"claim"`
	// Driver is how long the driver's call takes, by its own histogram, and Call how long the
	// sidecar waits for it, by the sidecar's.
	Driver Latency `json:"driver"`
	Call   Latency `json:"call"`
	// Queue is how long claims, or volumes, wait in the sidecar for one of its workers, and
	// Work how long a worker then has one in hand, the call and its own requests included.
	Queue Latency `json:"queue"`
	Work  Latency `json:"work"`
	// ManagerWaits is how long, per claim, the controller manager's requests waited for its own limit.
	ManagerWaits float64 `json:"managerWaitsSeconds"`
	// Traced says that an audit log was kept, which has the API server take longer: it tells of
	// Stages and Calls. Untold is why there are none nevertheless.
	Traced bool          `json:"traced"`
	Stages []audit.Stage `json:"stages,omitempty"`
	Calls  []audit.Calls `json:"calls,omitempty"`
	Untold string        `json:"untold,omitempty"`
	// CPU is processor time, by process, in seconds; of several of one kind, of all.
	CPU map[string]float64 `json:"cpu"`
	// Busy is the share of all cores' time that was used, by whomever.
	Busy float64 `json:"busy"`
}

// Latency sums up durations, in seconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
}

// Untold are the reasons why something is missing.
func (r *Result) Untold() (all []string) {
	for _, c := range r.Cases {
		for _, phase := range phases {
			if why := phase.of(c).Untold; why != "" {
				all = append(all, fmt.Sprintf("%s of %d claims, %s: %s", phase.name, c.Claims, c.Binding, why))
			}
		}
	}
	return all
}

// writes are those of the driver for one volume: its record, and events.
func (p Phase) writes() float64 {
	return p.sum(func(c audit.Calls) bool { return c.Writes && ofDriver(c) && !ofNode(c) })
}

// nodeWrites are those of the driver in which nodes tell how much room they have: one tells of
// all that happened since the last.
func (p Phase) nodeWrites() float64 {
	return p.sum(func(c audit.Calls) bool { return c.Writes && ofDriver(c) && ofNode(c) })
}

func ofDriver(c audit.Calls) bool { return c.Client == audit.Controller || c.Client == audit.Node }
func ofNode(c audit.Calls) bool   { return strings.HasPrefix(c.What, "hostpathnodes") }

// sum adds up calls per volume.
func (p Phase) sum(of func(audit.Calls) bool) (sum float64) {
	for _, c := range p.Calls {
		if of(c) {
			sum += c.PerVolume
		}
	}
	return sum
}

// inDriver is the share of a claim's time that it is in the driver.
func (p Phase) inDriver() float64 {
	if p.Claim.Mean == 0 {
		return 0
	}
	return p.Driver.Mean / p.Claim.Mean
}
