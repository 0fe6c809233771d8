package driver

import (
	"cmp"
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// place is a pool of a node, and why the node's agent would not do anything there
// now, if so.
type place struct {
	node       string
	pool       state.PoolStatus
	away       error
	preference int // the node's; less is better
}

// places returns every pool that the volume may live in, usable or not, with the
// best first: by the order of preferred topologies, then by what is available.
func (c *controller) places(ctx context.Context, p config.Parameters, r requirement) ([]place, error) {
	nodes, err := c.allowed(ctx, r)
	if err != nil {
		return nil, err
	}
	var all []place
	for _, n := range nodes {
		away, preference := c.away(n.ID), r.preference(n.ID)
		for _, p := range candidates(n.Status, p) {
			all = append(all, place{n.ID, p, away, preference})
		}
	}
	slices.SortStableFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.preference, b.preference), cmp.Compare(b.pool.AvailableBytes, a.pool.AvailableBytes))
	})
	return all, nil
}

// allowed returns the nodes that a requirement allows. One alone is looked up, and no other is
// read: a scheduler has chosen a node, and csi-provisioner asks for the capacity of each.
func (c *controller) allowed(ctx context.Context, r requirement) (allowed []state.Node, err error) {
	if len(r.only) == 1 {
		for id := range r.only {
			n, err := c.nodes.Get(ctx, id)
			switch {
			case err == nil:
				return []state.Node{n}, nil
			case state.ReasonOf(err) == state.NotFound:
				return nil, nil
			}
			return nil, err
		}
	}
	all, _, err := c.nodes.List(ctx, state.Page{})
	for _, n := range all {
		if r.only.has(n.ID) {
			allowed = append(allowed, n)
		}
	}
	return allowed, err
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
