package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

// grace is how long calls in flight may take after SIGTERM.
const grace = 10 * time.Second

type standaloneOptions struct {
	endpoint       string
	nodeID         string
	stateDir       string
	pools          []string
	targetRoots    []string
	metricsAddress string
	maxVolumes     int64
	log            logOptions
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
    --metrics-address 127.0.0.1:9808 --log-format json -v 2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return o.run(ctx)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.endpoint, "endpoint", "unix:///run/hostpath-csi/csi.sock", "socket to serve CSI on")
	flags.StringVar(&o.nodeID, "node-id", "", "name of this node in CSI (default: the host's name)")
	flags.StringVar(&o.stateDir, "state-dir", "", "directory of the embedded store (required)")
	flags.StringArrayVar(&o.pools, "pool", nil, "pool of volumes, as NAME=PATH; may be given several times (required)")
	flags.StringArrayVar(&o.targetRoots, "target-root", nil, "directory of target paths that may have symbolic links in its own path, such as a /var/lib/kubelet that was moved; may be given several times")
	flags.StringVar(&o.metricsAddress, "metrics-address", "", "HOST:PORT to serve /metrics, /healthz and /readyz on (default: nowhere)")
	flags.Int64Var(&o.maxVolumes, "max-volumes", 0, "how many volumes the CO may publish here; 0: any number")
	o.log.addFlags(flags)
	return cmd
}

func (o *standaloneOptions) run(ctx context.Context) error {
	if err := o.log.apply(os.Stderr); err != nil {
		return err
	}
	defer klog.Flush()
	began := time.Now()
	pools, err := o.validate()
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

	a := agent.New(agent.Options{NodeID: o.nodeID, Pools: pools, Volumes: store.Volumes(), Nodes: store.Nodes(),
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

	s := driver.NewServer(driver.Options{Version: version, Healthy: store.Healthy, Volumes: store.Volumes(), Nodes: store.Nodes(),
		NodeID: o.nodeID, Disk: a, Mounts: mounts, MaxVolumes: o.maxVolumes})
	l, err := driver.Listen(o.endpoint)
	if err != nil {
		return err
	}
	stopMetrics, err := serveMetrics(o.metricsAddress, s, slices.Concat(s.Collectors(), a.Collectors(), store.Collectors()))
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer stopMetrics()

	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	klog.InfoS("Serving", "endpoint", o.endpoint, "node", o.nodeID, "version", version, "store", store.UUID(),
		"publishes", mounts.Len(), "startup", time.Since(began).Round(time.Millisecond))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	klog.InfoS("Stopping; letting calls in flight end", "atMost", grace)
	s.Stop(grace)
	return <-served
}

func (o *standaloneOptions) validate() ([]agent.PoolOptions, error) {
	if o.nodeID == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("--node-id is missing, and the host has no name: %w", err)
		}
		o.nodeID = name
	}
	if err := driver.CheckNodeID(o.nodeID); err != nil {
		return nil, fmt.Errorf("--node-id: %w", err)
	}
	if !filepath.IsAbs(o.stateDir) {
		return nil, fmt.Errorf("--state-dir is %q; it takes an absolute path", o.stateDir)
	}
	if o.maxVolumes < 0 {
		return nil, fmt.Errorf("--max-volumes is %d; it takes 0 or more", o.maxVolumes)
	}
	return parsePools(o.pools)
}

// openStore opens the store, or starts an empty one if there never was one: if no
// pool has volumes of a store that is not here.
func openStore(dir string, pools []agent.PoolOptions) (*pebble.Store, error) {
	store, err := pebble.Open(dir, pebble.Options{})
	if state.ReasonOf(err) != state.NotFound {
		return store, err
	}
	for _, p := range pools {
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

func closing(what string, f func() error) {
	if err := f(); err != nil {
		klog.ErrorS(err, "Closing failed", "what", what)
	}
}
