package driver

import (
	"cmp"
	"context"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// place is a pool of a node, and why the node's agent would not do anything there
// now, if so.
type place struct {
	node string
	pool state.PoolStatus
	away error
}

// places returns every pool that the volume may live in, usable or not, with the
// best first: by the order of preferred topologies, then by what is available.
func (c *controller) places(ctx context.Context, p config.Parameters, topology *csi.TopologyRequirement) ([]place, error) {
	nodes, _, err := c.nodes.List(ctx, state.Page{})
	if err != nil {
		return nil, err
	}
	var all []place
	for _, n := range nodes {
		if !allowed(n.ID, topology) {
			continue
		}
		away := c.away(n.ID)
		for _, p := range candidates(n.Status, p) {
			all = append(all, place{n.ID, p, away})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int {
		return cmp.Or(
			cmp.Compare(preference(a.node, topology), preference(b.node, topology)),
			cmp.Compare(b.pool.AvailableBytes, a.pool.AvailableBytes))
	})
	return all, nil
}

// chosen returns the places on the node that comes first, where only that will do: see
// Options.FirstPreferenceOnly.
func (c *controller) chosen(all []place, topology *csi.TopologyRequirement) []place {
	if !c.firstOnly || len(topology.GetPreferred()) == 0 {
		return all
	}
	first := topology.GetPreferred()[0]
	var there []place
	for _, p := range all {
		if leadsTo(first, p.node) {
			there = append(there, p)
		}
	}
	return there
}

// defaultPool is taken, where it exists, if no pool was named.
const defaultPool = "default"

// candidates returns the pools of a node that parameters may mean: the one of that
// name, or those with such labels, or without either the default one, or without that
// any.
func candidates(n state.NodeStatus, want config.Parameters) []state.PoolStatus {
	if want.PoolSelector != nil {
		var all []state.PoolStatus
		for _, p := range n.Pools {
			if want.PoolSelector.Matches(labels.Set(p.Labels)) {
				all = append(all, p)
			}
		}
		return all
	}
	if want.Pool == "" {
		if p, ok := n.Pool(defaultPool); ok {
			return []state.PoolStatus{p}
		}
		return n.Pools
	}
	if p, ok := n.Pool(want.Pool); ok {
		return []state.PoolStatus{p}
	}
	return nil
}

// allowed tells whether a volume on the node satisfies the requirement. A
// requirement without requisite topologies allows every node
// (CSI: TopologyRequirement).
func allowed(nodeID string, r *csi.TopologyRequirement) bool {
	if len(r.GetRequisite()) == 0 {
		return true
	}
	return slices.ContainsFunc(r.GetRequisite(), func(t *csi.Topology) bool { return leadsTo(t, nodeID) })
}

// preference is the node's place among the preferred topologies; less is better.
func preference(nodeID string, r *csi.TopologyRequirement) int {
	for i, t := range r.GetPreferred() {
		if leadsTo(t, nodeID) {
			return i
		}
	}
	return len(r.GetPreferred())
}

// leadsTo tells whether the node lies in the topology: whether each of its segments
// is one that the node has.
func leadsTo(t *csi.Topology, nodeID string) bool {
	for key, value := range t.GetSegments() {
		if key != TopologyKey || value != nodeID {
			return false
		}
	}
	return true
}

// topologyOf is where a volume on the node can be used.
func topologyOf(nodeID string) *csi.Topology {
	return &csi.Topology{Segments: map[string]string{TopologyKey: nodeID}}
}
