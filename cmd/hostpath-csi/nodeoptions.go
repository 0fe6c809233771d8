package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
)

// nodeOptions are those of every role that has volumes on its machine.
type nodeOptions struct {
	nodeID      string
	pools       []string
	targetRoots []string
	maxVolumes  int64
}

func (o *nodeOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.nodeID, "node-id", "", "name of this node in CSI (default: the host's name)")
	flags.StringArrayVar(&o.pools, "pool", nil, "pool of volumes, as NAME=PATH[,OPTION=VALUE]...; may be given several times (required, or --config)")
	flags.StringArrayVar(&o.targetRoots, "target-root", nil, "directory of target paths that may have symbolic links in its own path, such as a /var/lib/kubelet that was moved; may be given several times")
	flags.Int64Var(&o.maxVolumes, "max-volumes", 0, "how many volumes the CO may publish here; 0: any number")
}

// check finds what is wrong with all but the pools.
func (o *nodeOptions) check() error {
	if o.nodeID == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--node-id is missing, and the host has no name: %w", err)
		}
		o.nodeID = name
	}
	if err := driver.CheckNodeID(o.nodeID); err != nil {
		return fmt.Errorf("--node-id: %w", err)
	}
	if o.maxVolumes < 0 {
		return fmt.Errorf("--max-volumes is %d; it takes 0 or more", o.maxVolumes)
	}
	return nil
}
