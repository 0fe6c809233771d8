package v1alpha1

import (
	"fmt"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// NodeSummary is a node's pools for the eye: the columns of `kubectl get`, which can
// show one field each, and not a list of them.
type NodeSummary struct {
	// Pools is how many pools can be used, of how many.
	Pools string `json:"pools,omitempty"`
	// Free is, for each pool, what new volumes may be given, and its size.
	Free string `json:"free,omitempty"`
	// Volumes and Snapshots count those that are ready, in all pools.
	Volumes   int `json:"volumes"`
	Snapshots int `json:"snapshots"`
}

func summaryOf(pools []state.PoolStatus, usable int) *NodeSummary {
	s := &NodeSummary{Pools: fmt.Sprintf("%d/%d", usable, len(pools))}
	var free []string
	for _, p := range pools {
		s.Volumes += p.ReadyVolumes
		s.Snapshots += p.ReadySnapshots
		switch {
		case !p.Usable():
			free = append(free, p.Name+" unusable")
		case p.Cordoned != "":
			free = append(free, p.Name+" cordoned")
		default:
			free = append(free, fmt.Sprintf("%s %s/%s", p.Name, rounded(p.AvailableBytes), rounded(p.Usage.TotalBytes)))
		}
	}
	s.Free = shortened(strings.Join(free, ", "))
	return s
}

// rounded gives bytes with two digits at least, as Kubernetes writes sizes, rounded down:
// what is told to be free is.
func rounded(bytes int64) string {
	const units = "KMGTPE"
	if bytes < 1024 {
		return fmt.Sprint(bytes)
	}
	unit := int64(1024)
	i := 0
	for bytes/unit >= 1024 && i < len(units)-1 {
		unit *= 1024
		i++
	}
	whole, tenths := bytes/unit, uint64(bytes%unit)*10/uint64(unit)
	if whole < 10 && tenths > 0 {
		return fmt.Sprintf("%d.%d%ci", whole, tenths, units[i])
	}
	return fmt.Sprintf("%d%ci", whole, units[i])
}
