package config

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// APIVersion and Kind are what a configuration file says of itself.
const (
	APIVersion = "hostpath-csi.dev/v1alpha1"
	Kind       = "Configuration"
)

// Configuration is what a configuration file says, with defaults where it says
// nothing. It is not changed after it was read.
type Configuration struct {
	// Pools are those of all nodes: see On.
	Pools []Pool
	// Defaults are for the parameters that a volume's class leaves out.
	Defaults Parameters
	// Log says how much is logged.
	Log Log

	file   string
	places map[string]position // of the keys that were given, by their path
}

// Pool declares a pool of volumes on the nodes that have certain labels.
type Pool struct {
	// Name is how StorageClasses call the pool. It is unique in the file.
	Name string
	// Path is the pool's directory on the node: absolute, without symbolic links.
	Path string
	// Nodes selects the nodes that have the pool.
	Nodes labels.Selector
	// Labels are the pool's own, for the parameter poolSelector.
	Labels map[string]string
	// RequireMountPoint refuses the pool while nothing is mounted at Path.
	RequireMountPoint bool
	// Reserve is never handed out.
	Reserve Reserve
	// ArchiveRetention is how long deleted volumes are kept in the archive; 0: for ever.
	ArchiveRetention time.Duration
	// Overcommit multiplies what may be promised.
	Overcommit float64
	// Cordoned pools take no new volumes.
	Cordoned bool
	// Image, or Device, is where the pool has a filesystem of its own; nil: it has none.
	Image  *Image
	Device *Device
	// Enforcement says what becomes of volumes that nothing holds to their size.
	Enforcement state.Enforcement
	// ProjectIDs are those that volumes on XFS and ext4 are given; zero: the usual ones.
	ProjectIDs IDRange

	key string // such as "pools[0]"
}

// Reserve is a part of a pool: a share of its size or a number of bytes.
type Reserve struct {
	Percent float64 // 0 to 100
	Bytes   int64
}

// Image is a file with a filesystem in it.
type Image struct {
	Path         string
	Bytes        int64
	Filesystem   string // "xfs" or "btrfs"
	Provisioning state.Provisioning
}

// Device is a block device with a filesystem on it.
type Device struct {
	Path       string
	Filesystem string // "xfs" or "btrfs"
}

// IDRange is project IDs, both ends included.
type IDRange struct{ First, Last uint32 }

// Log says how much is logged.
type Log struct {
	// Verbosity is klog's; nil: as the command line says.
	Verbosity *int
	// Format is "text" or "json"; "": as the command line says.
	Format string
}

// On returns the pools of a node with these labels, or what is wrong with them
// together: pools that lie in one another, which is no fault on different nodes.
func (c *Configuration) On(nodeLabels map[string]string) ([]Pool, error) {
	var chosen []Pool
	for _, p := range c.Pools {
		if p.Nodes.Matches(labels.Set(nodeLabels)) {
			chosen = append(chosen, p)
		}
	}
	var all Problems
	for i, p := range chosen {
		for _, other := range chosen[:i] {
			if overlap(p, other) {
				all = append(all, c.overlapping(p, other))
			}
		}
	}
	return chosen, all.orNil()
}
