// Package driver is the CSI services: it checks what a CO asks for, writes it into
// the records, waits until the node's agent has made it so, and answers. It is the
// only package that speaks gRPC.
//
//	server.go       socket, interceptors, health, reflection
//	identity.go     who this is, and whether it is well
//	create.go       CreateVolume            node.go     NodeGetInfo
//	delete.go       DeleteVolume            publish.go  NodePublish-, NodeUnpublishVolume
//	expand.go       ControllerExpandVolume  stats.go    NodeGetVolumeStats
//	list.go         ListVolumes, ...        health.go   volume and storage health (CSI 1.13)
//	snapshot.go     Create-, DeleteSnapshot snapshotlist.go  ListSnapshots, GetSnapshot
//	source.go       volumes that begin as copies
//	capacity.go     GetCapacity             capabilities.go  which optional calls there are
//	topology.go     which node and pool     requirement.go   what accessibility_requirements say of nodes
//	validate.go     the CSI spec's general rules for names, IDs and sizes
//	errors.go       Reason -> gRPC code
//	orphans.go      what no CSI call is for
//	registration.go making the driver known to the kubelet
//
// Service methods return domain errors (package state); an interceptor turns them
// into statuses.
package driver

import (
	"context"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"go.opentelemetry.io/otel/trace"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Name is the driver's name, as StorageClasses and CSIDriver objects call it.
const Name = "hostpath-csi.dev"

// TopologyKey is the topology segment that names the node of a volume.
const TopologyKey = "topology.hostpath-csi.dev/node"

// Disk is what the node service needs of the node's volumes: the agent's part.
type Disk interface {
	// Open returns the volume's directory, opened with O_PATH. The caller closes it.
	Open(v state.Volume) (*os.File, error)
	// Usage counts the bytes and inodes of the volume itself.
	Usage(ctx context.Context, v state.Volume) (state.Usage, error)
	// Pools tells how the node's pools are, now.
	Pools(ctx context.Context) []state.PoolStatus
}

// Options say what the services work on. A process that is no controller (no node)
// leaves out what only that needs, and registers fewer services.
type Options struct {
	// Version is the vendor version that GetPluginInfo tells.
	Version string
	// Healthy returns nil while the store can read and write.
	Healthy func(ctx context.Context) error

	// Records are the volumes, for reading.
	Records state.VolumeRecords

	// Volumes is the controller's half of them, and Nodes tells where there is room.
	// Without Volumes the controller service is left out.
	Volumes state.DesiredVolumes
	Nodes   state.NodeRecords
	// Snapshots is the controller's half of those of snapshots; nil: there are no
	// snapshots, and no volumes that begin as copies.
	Snapshots state.DesiredSnapshots
	// Defaults are those of parameters that a class leaves out; they may change.
	// nil: config.Builtin.
	Defaults func() config.Parameters
	// Away returns why nothing that is asked of a node's agent would be done now, or
	// nil. A nil Away means that agents are always there: they share this process.
	Away func(nodeID string) error
	// FirstPreferenceOnly has a volume that is no copy made in the first of the preferred
	// topologies or nowhere: there a scheduler has put the pod that wants it, with all its
	// other volumes. Where there is no room it has to choose again, and does so when it is
	// told ResourceExhausted. A copy is made beside its source, which a scheduler does not
	// know of; its pod follows.
	FirstPreferenceOnly bool

	// Tracing makes spans of calls; nil: there are none.
	Tracing trace.TracerProvider

	// NodeID is this node; Disk and Mounts are its volumes and where they are
	// published. Without a NodeID the node service is left out.
	NodeID string
	Disk   Disk
	Mounts *mount.Table
	// Ephemeral is the controller's half of the node's own volumes, in which the node
	// service declares those that pods ask for by themselves; with Nodes and Defaults.
	// nil: there are none.
	Ephemeral state.DesiredVolumes
	// Orphans removes what lies in the node's pools and is nobody's; nil: it is not served.
	Orphans Orphans
	// Archive removes what the archives of the node's pools hold; nil: it is not served.
	Archive Archive
	// MaxVolumes is how many volumes the node may publish; 0: any number.
	MaxVolumes int64
}

type controller struct {
	csi.UnimplementedControllerServer
	volumes           state.DesiredVolumes
	snapshots         state.DesiredSnapshots // nil: there are none
	nodes             state.NodeRecords
	defaults          func() config.Parameters // see Options.Defaults
	away              func(nodeID string) error
	firstOnly         bool // see Options.FirstPreferenceOnly
	adopts            bool // it serves one node, its own
	inFlight          *inFlight
	snapshotsInFlight *inFlight
}

// parameterDefaults are those of now.
func (c *controller) parameterDefaults() config.Parameters {
	if c.defaults == nil {
		return config.Builtin()
	}
	return c.defaults()
}

type node struct {
	csi.UnimplementedNodeServer
	id       string
	max      int64
	volumes  state.VolumeRecords
	disk     Disk
	mounts   *mount.Table
	inFlight *inFlight
	// ephemeral declares the volumes that pods ask for by themselves; nil: there are none.
	ephemeral *controller
}

func newNode(o Options) *node {
	n := &node{id: o.NodeID, max: o.MaxVolumes, volumes: o.Records, disk: o.Disk, mounts: o.Mounts, inFlight: newInFlight()}
	if o.Ephemeral != nil {
		// Its agent shares this process.
		n.ephemeral = newController(Options{Volumes: o.Ephemeral, Nodes: o.Nodes, Defaults: o.Defaults})
	}
	return n
}
