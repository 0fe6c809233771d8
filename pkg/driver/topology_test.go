package driver

import (
	"context"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// fixedNodes are node records that do not change.
type fixedNodes []state.Node

func (f fixedNodes) List(context.Context, state.Page) ([]state.Node, string, error) {
	return f, "", nil
}
func (f fixedNodes) Get(_ context.Context, id string) (state.Node, error) {
	for _, n := range f {
		if n.ID == id {
			return n, nil
		}
	}
	return state.Node{}, state.Errorf(state.NotFound, "no node %s", id)
}
func (f fixedNodes) Watch(context.Context) <-chan state.Event[state.NodeSpec, state.NodeStatus] {
	return nil
}
func (f fixedNodes) Wake(string) (<-chan struct{}, func()) { return nil, func() {} }

func nodeWith(id string, pools ...state.PoolStatus) state.Node {
	return state.Node{Meta: state.Meta{ID: id}, Status: state.NodeStatus{Pools: pools}}
}

func poolWith(name string, available int64) state.PoolStatus {
	return state.PoolStatus{Name: name, Filesystem: "ext4", AvailableBytes: available, Usage: state.Usage{TotalBytes: 1000}}
}

func broken(p state.PoolStatus) state.PoolStatus {
	p.Health = []state.Health{{Type: state.Inaccessible, Reason: "PoolGone", Message: "its disk is not mounted"}}
	return p
}

func on(ids ...string) []*csi.Topology {
	var all []*csi.Topology
	for _, id := range ids {
		all = append(all, topologyOf(id))
	}
	return all
}

func TestThePlaceOfANewVolume(t *testing.T) {
	three := fixedNodes{nodeWith("a", poolWith("default", 100)), nodeWith("b", poolWith("default", 300)), nodeWith("c", poolWith("default", 200))}
	for name, c := range map[string]struct {
		nodes      fixedNodes
		pool       string
		bytes      int64
		topology   *csi.TopologyRequirement
		want       string // node/pool
		wantReason state.Reason
	}{
		"without a requirement, the node with most room":   {three, "", 50, nil, "b/default", ""},
		"the first preferred node":                         {three, "", 50, &csi.TopologyRequirement{Requisite: on("a", "b", "c"), Preferred: on("c", "a")}, "c/default", ""},
		"the next preferred one if the first has no room":  {three, "", 150, &csi.TopologyRequirement{Requisite: on("a", "b", "c"), Preferred: on("a", "c", "b")}, "c/default", ""},
		"only requisite nodes":                             {three, "", 50, &csi.TopologyRequirement{Requisite: on("a", "c")}, "c/default", ""},
		"preferred alone does not exclude":                 {three, "", 250, &csi.TopologyRequirement{Preferred: on("a")}, "b/default", ""},
		"an unknown node":                                  {three, "", 50, &csi.TopologyRequirement{Requisite: on("z")}, "", state.NotReady},
		"a segment that no node has":                       {three, "", 50, &csi.TopologyRequirement{Requisite: []*csi.Topology{{Segments: map[string]string{"zone": "1"}}}}, "", state.NotReady},
		"no room anywhere is left for the agent to refuse": {three, "", 400, nil, "b/default", ""},
		"larger than any pool":                             {three, "", 1001, nil, "", state.OutOfRange},
		"a named pool":                                     {fixedNodes{nodeWith("a", poolWith("default", 500), poolWith("fast", 100))}, "fast", 50, nil, "a/fast", ""},
		"a pool that nobody has":                           {three, "slow", 50, nil, "", state.NotReady},
		"the default pool before others":                   {fixedNodes{nodeWith("a", poolWith("big", 500), poolWith("default", 100))}, "", 50, nil, "a/default", ""},
		"any pool where none is the default":               {fixedNodes{nodeWith("a", poolWith("small", 100), poolWith("big", 500))}, "", 50, nil, "a/big", ""},
		"a node whose pool is broken is left out":          {fixedNodes{nodeWith("a", broken(poolWith("default", 900))), nodeWith("b", poolWith("default", 60))}, "", 50, nil, "b/default", ""},
		"all pools broken":                                 {fixedNodes{nodeWith("a", broken(poolWith("default", 900)))}, "", 50, nil, "", state.NotReady},
		"no nodes at all":                                  {nil, "", 50, nil, "", state.NotReady},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := newController(Options{Nodes: c.nodes})
			spec, err := ctl.specify(context.Background(), wanted{name: "v", size: size{least: c.bytes}, topology: parseTopology(c.topology), parameters: config.Parameters{Pool: c.pool}})
			if state.ReasonOf(err) != c.wantReason {
				t.Fatalf("%v, want %s", err, c.wantReason)
			}
			if err == nil && spec.Node+"/"+spec.Pool != c.want {
				t.Errorf("%s/%s, want %s", spec.Node, spec.Pool, c.want)
			}
		})
	}
}

func TestWhereASchedulerHasChosenNoOtherNodeIsTaken(t *testing.T) {
	ctl := newController(Options{FirstPreferenceOnly: true, Nodes: fixedNodes{nodeWith("a", poolWith("default", 100)), nodeWith("b", poolWith("default", 300))}})
	small := poolWith("default", 100)
	small.Usage.TotalBytes = 100
	uneven := newController(Options{FirstPreferenceOnly: true, Nodes: fixedNodes{nodeWith("a", small), nodeWith("b", poolWith("default", 300))}})
	onA := &csi.TopologyRequirement{Requisite: on("a", "b"), Preferred: on("a", "b")}
	for name, c := range map[string]struct {
		ctl        *controller
		bytes      int64
		topology   *csi.TopologyRequirement
		want       string
		wantReason state.Reason
	}{
		"there is room":                      {ctl, 50, onA, "a", ""},
		"no room is left to its agent":       {ctl, 150, onA, "a", ""},
		"larger than that node, not another": {uneven, 150, onA, "", state.NoSpace},
		"larger than any node":               {uneven, 2000, onA, "", state.NoSpace},
		"a node that there is not":           {ctl, 50, &csi.TopologyRequirement{Requisite: on("a", "z"), Preferred: on("z", "a")}, "", state.NotReady},
		"nothing was chosen":                 {ctl, 150, nil, "b", ""},
	} {
		spec, err := c.ctl.specify(context.Background(), wanted{size: size{least: c.bytes}, topology: parseTopology(c.topology)})
		if state.ReasonOf(err) != c.wantReason || spec.Node != c.want {
			t.Errorf("%s: node %q, %v; want %q and reason %q", name, spec.Node, err, c.want, c.wantReason)
		}
	}
}

// listedNodes counts how often all nodes are read.
type listedNodes struct {
	fixedNodes
	lists int
}

func (l *listedNodes) List(ctx context.Context, p state.Page) ([]state.Node, string, error) {
	l.lists++
	return l.fixedNodes.List(ctx, p)
}

func TestWhereOneNodeIsChosenOrAskedForNoOtherIsRead(t *testing.T) {
	nodes := &listedNodes{fixedNodes: fixedNodes{nodeWith("a", poolWith("default", 100)), nodeWith("b", poolWith("default", 300))}}
	ctl := newController(Options{FirstPreferenceOnly: true, Nodes: nodes})
	want := wanted{size: size{least: 50}, topology: parseTopology(&csi.TopologyRequirement{Requisite: on("b", "a"), Preferred: on("a", "b")})}
	if spec, err := ctl.specify(t.Context(), want); err != nil || spec.Node != "a" || nodes.lists != 0 {
		t.Errorf("a volume on %q, %v; all nodes were read %d times", spec.Node, err, nodes.lists)
	}
	resp, err := ctl.GetCapacity(t.Context(), &csi.GetCapacityRequest{AccessibleTopology: topologyOf("b")})
	if err != nil || resp.GetAvailableCapacity() != 300 || nodes.lists != 0 {
		t.Errorf("capacity %v, %v; all nodes were read %d times", resp, err, nodes.lists)
	}
}

func TestAPoolChosenByItsLabels(t *testing.T) {
	tier := func(tier string, p state.PoolStatus) state.PoolStatus {
		p.Labels = map[string]string{"tier": tier}
		return p
	}
	ctl := newController(Options{Nodes: fixedNodes{
		nodeWith("a", tier("fast", poolWith("ssd", 100)), poolWith("default", 900)),
		nodeWith("b", tier("fast", poolWith("nvme", 300)), tier("slow", poolWith("hdd", 800))),
	}})
	for selector, want := range map[string]string{"tier=fast": "b/nvme", "tier": "b/hdd", "!tier": "a/default", "tier in (none)": ""} {
		p, err := config.ParseParameters(map[string]string{"poolSelector": selector}, config.Builtin())
		if err != nil {
			t.Fatal(err)
		}
		spec, err := ctl.specify(context.Background(), wanted{size: size{least: 50}, parameters: p})
		if want == "" && (state.ReasonOf(err) != state.NotReady || !strings.Contains(err.Error(), "tier in (none)")) {
			t.Errorf("%s: %v", selector, err)
		} else if want != "" && (err != nil || spec.Node+"/"+spec.Pool != want) {
			t.Errorf("%s: %s/%s, %v, want %s", selector, spec.Node, spec.Pool, err, want)
		}
	}
}

func TestACordonedPoolTakesNoVolumesAndHasNoCapacity(t *testing.T) {
	cordoned := poolWith("default", 900)
	cordoned.Cordoned = "it is cordoned"
	ctl := newController(Options{Nodes: fixedNodes{nodeWith("a", cordoned)}})
	_, err := ctl.specify(context.Background(), wanted{size: size{least: 50}})
	if state.ReasonOf(err) != state.NoSpace || !strings.Contains(err.Error(), "it is cordoned") {
		t.Errorf("%v", err)
	}
	if resp, err := ctl.GetCapacity(context.Background(), &csi.GetCapacityRequest{}); err != nil || resp.GetAvailableCapacity() != 0 {
		t.Errorf("%v, %v", resp, err)
	}
	ctl.nodes = append(ctl.nodes.(fixedNodes), nodeWith("b", poolWith("default", 60)))
	if spec, err := ctl.specify(context.Background(), wanted{size: size{least: 50}}); err != nil || spec.Node != "b" {
		t.Errorf("%+v, %v", spec, err)
	}
}

func TestADefaultMayChangeBetweenTwoTriesOfACall(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]string
		ok    bool
	}{
		"the default said so":  {nil, true},
		"the class says so":    {map[string]string{"mode": "0700"}, true},
		"the class says other": {map[string]string{"mode": "0770"}, false},
	} {
		p, err := config.ParseParameters(c.given, config.Parameters{Mode: 0o755})
		if err != nil {
			t.Fatal(err)
		}
		v := state.Volume{Spec: state.VolumeSpec{Mode: 0o700, CapacityBytes: 1}}
		if err := compatible(v, wanted{parameters: p, size: size{least: 1}}); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAVolumeIsDeclaredWithThePathThatItsClassAndClaimMake(t *testing.T) {
	ctl := newController(Options{Nodes: fixedNodes{nodeWith("a", poolWith("default", 2<<30))}})
	request := func(template string, block bool) *csi.CreateVolumeRequest {
		capability := capabilityOf(csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER)
		if block {
			capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		}
		return &csi.CreateVolumeRequest{Name: "pvc-1", VolumeCapabilities: []*csi.VolumeCapability{capability}, Parameters: map[string]string{
			"pathTemplate": template, "csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": "data"}}
	}
	const template = "{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}"
	for _, c := range []struct {
		template string
		block    bool
		want     string
	}{{template, false, "shop/data=pvc-1"}, {"", false, ""}, {template, true, ""}} {
		want, err := parseCreate(request(c.template, c.block), config.Builtin())
		if err != nil {
			t.Fatal(err)
		}
		spec, err := ctl.specify(t.Context(), want)
		if err != nil || spec.Path != c.want {
			t.Errorf("%+v: %q, %v", c, spec.Path, err)
		}
		v := state.Volume{Spec: spec}
		if err := compatible(v, want); err != nil {
			t.Errorf("%+v, again: %v", c, err)
		}
		v.Spec.Path = "shop/other=pvc-1"
		if err := compatible(v, want); state.ReasonOf(err) != state.AlreadyExists || !strings.Contains(err.Error(), "pathTemplate") {
			t.Errorf("%+v, elsewhere: %v", c, err)
		}
	}
	if _, err := parseCreate(request("{{ .PV.Name }}-{{ .VolumeID }}", false), config.Builtin()); state.ReasonOf(err) != state.Invalid {
		t.Errorf("of a claim that is not told: %v", err)
	}
}

func TestAFilesystemTypeMustBeThePools(t *testing.T) {
	ctl := newController(Options{Nodes: fixedNodes{nodeWith("a", poolWith("default", 500))}})
	for fs, ok := range map[string]bool{"": true, "ext4": true, "xfs": false} {
		_, err := ctl.specify(context.Background(), wanted{size: size{least: 1}, access: []access{{fsType: fs}}})
		if (err == nil) != ok || err != nil && (state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), "fs_type")) {
			t.Errorf("fs_type %q: %v", fs, err)
		}
	}
}

func TestCapacityIsToldByTopologyAndPool(t *testing.T) {
	ctl := newController(Options{Nodes: fixedNodes{
		nodeWith("a", poolWith("default", 100), poolWith("fast", 10)),
		nodeWith("b", poolWith("default", 300)),
		nodeWith("c", broken(poolWith("default", 900))),
	}})
	writer := []*csi.VolumeCapability{capabilityOf(csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER)}
	for name, c := range map[string]struct {
		req            *csi.GetCapacityRequest
		available, max int64
	}{
		"everywhere":                     {&csi.GetCapacityRequest{}, 400, 300},
		"on one node":                    {&csi.GetCapacityRequest{AccessibleTopology: topologyOf("a")}, 100, 100},
		"of one pool":                    {&csi.GetCapacityRequest{Parameters: map[string]string{"pool": "fast"}}, 10, 10},
		"on a node whose pool is broken": {&csi.GetCapacityRequest{AccessibleTopology: topologyOf("c")}, 0, 0},
		"on an unknown node":             {&csi.GetCapacityRequest{AccessibleTopology: topologyOf("z")}, 0, 0},
		"for a mode that is served":      {&csi.GetCapacityRequest{VolumeCapabilities: writer}, 400, 300},
		"for a mode that is not served":  {&csi.GetCapacityRequest{VolumeCapabilities: []*csi.VolumeCapability{capabilityOf(csi.VolumeCapability_AccessMode_MULTI_NODE_MULTI_WRITER)}}, 0, 0},
	} {
		resp, err := ctl.GetCapacity(context.Background(), c.req)
		if err != nil || resp.GetAvailableCapacity() != c.available || resp.GetMaximumVolumeSize().GetValue() != c.max {
			t.Errorf("%s: %v, %v", name, resp, err)
		}
	}
	if _, err := ctl.GetCapacity(context.Background(), &csi.GetCapacityRequest{Parameters: map[string]string{"pol": "x"}}); state.ReasonOf(err) != state.Invalid {
		t.Errorf("a misspelt parameter: %v", err)
	}
}
