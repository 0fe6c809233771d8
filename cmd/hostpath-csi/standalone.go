package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

type standaloneOptions struct {
	serveOptions
	nodeOptions
	configOptions
	nodeLabels string
	stateDir   string
	log        logOptions
}

func newStandaloneCommand() *cobra.Command {
	var o standaloneOptions
	cmd := &cobra.Command{
		Use:   "standalone",
		Short: "Serve all of CSI on one machine, with an embedded store",
		Long: `Serve the CSI identity, controller and node services on one machine. Records are
kept in an embedded store in --state-dir, volumes in the directories of the pools.

Needs root, and Linux 5.12 or newer.`,
		Example: `  # One pool in the usual place
  hostpath-csi standalone --endpoint unix:///run/hostpath-csi/csi.sock --node-id $(hostname) \
    --state-dir /var/lib/hostpath-csi/state --pool default=/var/lib/hostpath-csi/pool

  # Two pools on disks of their own, metrics, JSON logs
  hostpath-csi standalone --endpoint unix:///run/hostpath-csi/csi.sock --node-id worker-1 \
    --state-dir /var/lib/hostpath-csi --pool fast=/mnt/nvme0 --pool big=/mnt/hdd0 \
    --metrics-address 127.0.0.1:9808 --log-format json -v 2

  # A pool in a file that it makes and formats, so that sizes hold on any disk
  hostpath-csi standalone --node-id worker-1 --state-dir /var/lib/hostpath-csi/state \
    --pool default=/var/lib/hostpath-csi/pool,image=/var/lib/hostpath-csi/pool.img,size=100Gi,filesystem=btrfs

  # Pools by a file, which takes effect at once when it changes
  hostpath-csi standalone --node-id worker-1 --state-dir /var/lib/hostpath-csi/state \
    --config /etc/hostpath-csi/config.yaml --node-labels disk=ssd`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.log.during(cmd.Context(), o.file, o.run) },
	}
	flags := cmd.Flags()
	o.serveOptions.addFlags(flags, standaloneEndpoint)
	o.nodeOptions.addFlags(flags)
	o.configOptions.addFlags(flags)
	flags.StringVar(&o.nodeLabels, "node-labels", "", "labels of this node, as NAME=VALUE,..., by which the pools of --config are chosen")
	flags.StringVar(&o.stateDir, "state-dir", "", "directory of the embedded store (required)")
	o.serveOptions.addNodeFlags(flags)
	o.log.addFlags(flags)
	return cmd
}

func (o *standaloneOptions) run(ctx context.Context) error {
	began := time.Now()
	if err := o.validate(); err != nil {
		return err
	}
	nodeLabels, err := parseNodeLabels(o.nodeLabels)
	if err != nil {
		return err
	}
	pools, live, err := o.choosePools(o.pools, func() map[string]string { return nodeLabels }, &o.log)
	if err != nil {
		return err
	}
	if err := mount.CheckKernel(); err != nil {
		return err
	}
	store, err := openStore(o.stateDir, pools)
	if err != nil {
		return err
	}
	defer closing("the store", store.Close)

	a := agent.New(agent.Options{NodeID: o.nodeID, Pools: pools, Volumes: store.Volumes(), Snapshots: store.Snapshots(), Nodes: store.Nodes(),
		Store: store.UUID(), CallersShareProcess: true})
	if err := a.Attach(ctx); err != nil {
		return err
	}
	mounts, err := mount.Load(a.PoolPaths(), mount.LoadOptions{TrustedRoots: o.targetRoots})
	if err != nil {
		return err
	}
	a.Start(mounts)
	defer a.Stop()

	defaults, offered := config.Builtin, slices.Concat(a.Collectors(), store.Collectors())
	if live != nil {
		defaults, offered, o.detail = live.defaults, append(offered, live), live.detail
		defer live.follow(ctx, func() { live.configure(ctx, a) })()
	}
	tracing, stopTracing, err := startTracing(ctx, o.tracingEndpoint, "standalone")
	if err != nil {
		return err
	}
	defer stopTracing()
	s := driver.NewServer(driver.Options{Version: version, Tracing: tracing, Healthy: store.Healthy, Records: store.Volumes(), Volumes: store.Volumes(), Snapshots: store.Snapshots(), Nodes: store.Nodes(),
		Defaults: defaults, NodeID: o.nodeID, Disk: a, Mounts: mounts, MaxVolumes: o.maxVolumes, Ephemeral: store.Volumes(), Orphans: a, Archive: a})
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	background.Go(func() { s.EndAbandoned(ctx) })
	klog.InfoS("Starting", "role", "standalone", "node", o.nodeID, "version", version, "store", store.UUID(),
		"publishes", mounts.Len(), "startup", time.Since(began).Round(time.Millisecond))
	return o.serve(ctx, s, offered)
}

func (o *standaloneOptions) validate() error {
	if err := o.nodeOptions.check(); err != nil {
		return err
	}
	if o.file == "" && o.nodeLabels != "" {
		return errors.New("--node-labels is given without --config, whose pools it chooses")
	}
	if !filepath.IsAbs(o.stateDir) {
		return fmt.Errorf("--state-dir is %q; it takes an absolute path", o.stateDir)
	}
	return nil
}

// openStore opens the store, or starts an empty one if there never was one: if no
// pool has volumes of a store that is not here.
func openStore(dir string, pools []agent.PoolOptions) (*pebble.Store, error) {
	store, err := pebble.Open(dir, pebble.Options{})
	if state.ReasonOf(err) != state.NotFound {
		return store, err
	}
	for _, p := range pools {
		if err := agent.MountDisk(context.Background(), p); err != nil && !errors.Is(err, disk.ErrNothing) {
			return nil, err
		}
		m, err := pool.ReadMarker(p.Path)
		if err == nil {
			return nil, fmt.Errorf("there is no store in %s, but pool %s at %s has the volumes of store %s: "+
				"choose the right --state-dir, bring its contents back, or rebuild them with 'hostpath-csi recover'", dir, p.Name, p.Path, m.Store)
		}
		if !errors.Is(err, pool.ErrNoMarker) {
			return nil, err
		}
	}
	return pebble.Open(dir, pebble.Options{Create: true})
}
