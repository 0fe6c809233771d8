package main

import (
	"context"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/cluster"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
)

type nodeRoleOptions struct {
	serveOptions
	nodeOptions
	clusterOptions
	configOptions
	log logOptions
}

func newNodeCommand() *cobra.Command {
	var o nodeRoleOptions
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Serve the CSI node service and the agent of one node of a Kubernetes cluster",
		Long: `Serve the CSI identity and node services on one node, and do there what the records of
its volumes in Kubernetes ask for. The node's ID is the name of its Node object, by
whose labels the pools of --config are chosen.

Needs root, and Linux 5.12 or newer.`,
		Example: `  # In its pod
  hostpath-csi node --node-id "$NODE_NAME" --namespace hostpath-csi --config /etc/hostpath-csi/config.yaml \
    --endpoint unix:///var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock \
    --plugin-registry /var/lib/kubelet/plugins_registry --metrics-address :9810 --health-address :9811`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.log.during(cmd.Context(), o.file, o.run) },
	}
	flags := cmd.Flags()
	o.serveOptions.addFlags(flags, nodeEndpoint)
	o.serveOptions.addNodeFlags(flags)
	o.nodeOptions.addFlags(flags)
	o.clusterOptions.addFlags(flags)
	o.configOptions.addFlags(flags)
	o.log.addFlags(flags)
	return cmd
}

// nodeGCPercent is what GOGC is for the role node, unless that is set.
const nodeGCPercent = 20

func (o *nodeRoleOptions) run(ctx context.Context) error {
	began := time.Now()
	// It runs on every node and allocates little: there, memory is dearer than the work of
	// collecting it sooner.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(nodeGCPercent)
	}
	if err := o.nodeOptions.check(); err != nil {
		return err
	}
	if err := o.clusterOptions.check(); err != nil {
		return err
	}
	if err := mount.CheckKernel(); err != nil {
		return err
	}
	store, client, err := o.connect(ctx, o.nodeID)
	if err != nil {
		return err
	}
	defer closing("the store", store.Close)
	labels, err := cluster.WatchLabels(ctx, client, o.nodeID)
	if err != nil {
		return err
	}
	configMap := o.toldOn(client, cluster.NewRecorder(client, o.nodeID), "node "+o.nodeID)
	pools, live, err := o.choosePools(o.pools, labels.Now, &o.log)
	if err != nil {
		configMap.TellAtStart(ctx, err)
		return err
	}

	a := agent.New(agent.Options{NodeID: o.nodeID, Pools: pools, Volumes: store.Volumes(), Snapshots: store.Snapshots(),
		Nodes: store.Nodes(), Store: store.UUID()})
	if err := a.Attach(ctx); err != nil {
		return err
	}
	mounts, err := mount.Load(a.PoolPaths(), mount.LoadOptions{TrustedRoots: o.targetRoots})
	if err != nil {
		return err
	}
	a.Start(mounts)
	defer a.Stop()

	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	defaults, offered := config.Builtin, append(a.Collectors(), store.Collectors()...)
	if live != nil {
		defaults, offered, o.detail = live.defaults, append(offered, live), live.detail
		live.tell = func(wrong error) {
			a.SetConfigError(wrong)
			configMap.Tell(ctx, wrong)
		}
		defer live.follow(ctx, func() { live.configure(ctx, a) })()
		background.Go(func() { onEach(ctx, labels.Changed, live.Look) })
	}
	// Only now: from here on, the controller gives it work.
	background.Go(func() { cluster.Heartbeat(ctx, client, o.nodeID) })

	tracing, stopTracing, err := startTracing(ctx, o.tracingEndpoint, "node")
	if err != nil {
		return err
	}
	defer stopTracing()
	s := driver.NewServer(driver.Options{Version: version, Tracing: tracing, Healthy: store.Healthy, Records: store.Volumes(),
		Nodes: store.Nodes(), Defaults: defaults, NodeID: o.nodeID, Disk: a, Mounts: mounts, MaxVolumes: o.maxVolumes, Ephemeral: store.Volumes(), Orphans: a, Archive: a})
	background.Go(func() { s.EndAbandoned(ctx) })
	klog.InfoS("Starting", "role", "node", "node", o.nodeID, "version", version, "store", store.UUID(),
		"publishes", mounts.Len(), "startup", time.Since(began).Round(time.Millisecond))
	return o.serve(ctx, s, offered)
}

// onEach calls do for each token of a channel until ctx ends.
func onEach(ctx context.Context, tokens <-chan struct{}, do func()) {
	for {
		select {
		case <-tokens:
			do()
		case <-ctx.Done():
			return
		}
	}
}
