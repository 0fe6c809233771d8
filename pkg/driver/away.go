package driver

import "github.com/hostpath-csi/hostpath-csi/pkg/state"

func newController(o Options) *controller {
	away := o.Away
	if away == nil {
		away = func(string) error { return nil }
	}
	return &controller{volumes: o.Volumes, snapshots: o.Snapshots, nodes: o.Nodes, defaults: o.Defaults, away: away, firstOnly: o.FirstPreferenceOnly, adopts: o.NodeID != "",
		inFlight: newInFlight(), snapshotsInFlight: newInFlight()}
}

// reachable returns nil if the agent of the volume's node would see what is asked of
// it. No other node will do, so that it is away means "later": Unavailable.
func (c *controller) reachable(v state.Volume) error { return c.nodeReachable(v.Spec.Node) }

// nodeReachable is reachable for whatever lies on that node.
func (c *controller) nodeReachable(nodeID string) error {
	if err := c.away(nodeID); err != nil {
		return state.Errorf(state.Unavailable, "%w", err)
	}
	return nil
}
