package driver

import (
	"fmt"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

// BenchmarkTopologyOfAllNodes chooses the place of a volume, and tells of one node's capacity,
// where csi-provisioner names all nodes of the cluster: what a claim costs should hardly grow
// with their number.
func BenchmarkTopologyOfAllNodes(b *testing.B) {
	for _, n := range []int{10, 1000, 5000} {
		var nodes fixedNodes
		var ids []string
		for i := range n {
			ids = append(ids, fmt.Sprintf("node-%04d", i))
			nodes = append(nodes, nodeWith(ids[i], poolWith("default", int64(i))))
		}
		chosen := n / 2
		all := append(on(ids[chosen:]...), on(ids[:chosen]...)...)
		claimed := &csi.CreateVolumeRequest{Name: "v", AccessibilityRequirements: &csi.TopologyRequirement{Requisite: all, Preferred: all},
			VolumeCapabilities: []*csi.VolumeCapability{capabilityOf(csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER)}}
		for name, first := range map[string]bool{"chosen": true, "any": false} {
			ctl := newController(Options{Nodes: nodes, FirstPreferenceOnly: first})
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					want, err := parseCreate(claimed, config.Builtin())
					if err != nil {
						b.Fatal(err)
					}
					want.size = size{least: 1}
					if _, err := ctl.specify(b.Context(), want); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		ctl := newController(Options{Nodes: nodes})
		b.Run(fmt.Sprintf("capacity/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := ctl.GetCapacity(b.Context(), &csi.GetCapacityRequest{AccessibleTopology: topologyOf(ids[0])}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
