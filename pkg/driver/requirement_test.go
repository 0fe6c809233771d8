package driver

import (
	"slices"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"pgregory.net/rapid"
)

func TestPreferenceIsTheFirstThatMatches(t *testing.T) {
	r := parseTopology(&csi.TopologyRequirement{Preferred: on("x", "a", "b", "a")})
	got := []int{r.preference("a"), r.preference("b"), r.preference("z")}
	if !slices.Equal(got, []int{1, 2, 4}) {
		t.Errorf("%v", got)
	}
}

// leadsTo tells whether each of a topology's segments is one that the node has.
func leadsTo(t *csi.Topology, node string) bool {
	for key, value := range t.GetSegments() {
		if key != TopologyKey || value != node {
			return false
		}
	}
	return true
}

// What is looked up has to be what going through all topologies finds.
func TestARequirementSaysOfEachNodeWhatItsTopologiesSay(t *testing.T) {
	topologies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *csi.Topology {
		keys := rapid.SampledFrom([]string{TopologyKey, TopologyKey, TopologyKey, "zone"})
		return &csi.Topology{Segments: rapid.MapOfN(keys, rapid.SampledFrom([]string{"a", "b", "c", ""}), 0, 2).Draw(t, "segments")}
	}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		given := &csi.TopologyRequirement{Requisite: topologies.Draw(t, "requisite"), Preferred: topologies.Draw(t, "preferred")}
		r := parseTopology(given)
		first, narrowed := r.narrowed()
		for _, node := range []string{"a", "b", "c", "d"} {
			leads := func(to *csi.Topology) bool { return leadsTo(to, node) }
			allowed := len(given.Requisite) == 0 || slices.ContainsFunc(given.Requisite, leads)
			if got := r.only.has(node); got != allowed {
				t.Errorf("node %s is allowed: %v, want %v", node, got, allowed)
			}
			preference := slices.IndexFunc(given.Preferred, leads)
			if preference < 0 {
				preference = len(given.Preferred)
			}
			if got := r.preference(node); got != preference {
				t.Errorf("node %s has place %d, want %d", node, got, preference)
			}
			comes := allowed && (len(given.Preferred) == 0 || preference == 0)
			if got := first.only.has(node); got != comes {
				t.Errorf("node %s comes first: %v, want %v", node, got, comes)
			}
			if !narrowed && comes != allowed {
				t.Errorf("that only %s comes first would make no difference", node)
			}
		}
	})
}
