package driver

import (
	"maps"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// requirement is a TopologyRequirement by nodes. csi-provisioner names all nodes of the cluster
// in each, so what it says of one is looked up. The zero value requires and prefers nothing.
type requirement struct {
	only   nodeSet        // of requisite
	first  nodeSet        // of the first of preferred, as far as only allows them
	ranks  map[string]int // places among preferred; less is better
	others int            // the place of all that are not in ranks
}

// nodeSet are nodes by their IDs; nil: all there are.
type nodeSet map[string]struct{}

// parseTopology reads a requirement. One without requisite topologies allows every node
// (CSI: TopologyRequirement).
func parseTopology(r *csi.TopologyRequirement) requirement {
	preferred := r.GetPreferred()
	parsed := requirement{only: nodesOf(r.GetRequisite()), ranks: make(map[string]int, len(preferred)), others: len(preferred)}
	if len(preferred) > 0 {
		parsed.first = nodesOf(preferred[:1])
		maps.DeleteFunc(parsed.first, func(id string, _ struct{}) bool { return !parsed.only.has(id) })
	}
	for i, t := range preferred {
		id, all := nodeOf(t)
		if all {
			parsed.others = i
			break
		}
		if _, ok := parsed.ranks[id]; !ok {
			parsed.ranks[id] = i
		}
	}
	return parsed
}

// preference is a node's place among the preferred topologies; less is better.
func (r requirement) preference(id string) int {
	if i, ok := r.ranks[id]; ok {
		return i
	}
	return r.others
}

// narrowed is the requirement by which the nodes that come first are the only ones, and whether
// that makes a difference.
func (r requirement) narrowed() (requirement, bool) {
	if r.first == nil {
		return r, false
	}
	r.only = r.first
	return r, true
}

func (s nodeSet) has(id string) bool {
	if s == nil {
		return true
	}
	_, ok := s[id]
	return ok
}

// nodesOf returns the nodes that any of the topologies leads to; all, if there is no topology.
func nodesOf(topologies []*csi.Topology) nodeSet {
	if len(topologies) == 0 {
		return nil
	}
	s := make(nodeSet, len(topologies))
	for _, t := range topologies {
		id, all := nodeOf(t)
		if all {
			return nil
		}
		s[id] = struct{}{}
	}
	return s
}

// nodeOf returns the node that a topology leads to, or all, if it has no segments. Another segment
// than that of nodes no node has: "".
func nodeOf(t *csi.Topology) (id string, all bool) {
	segments := t.GetSegments()
	if len(segments) > 1 {
		return "", false
	}
	return segments[TopologyKey], len(segments) == 0
}

// topologyOf is where a volume on the node can be used.
func topologyOf(nodeID string) *csi.Topology {
	return &csi.Topology{Segments: map[string]string{TopologyKey: nodeID}}
}
