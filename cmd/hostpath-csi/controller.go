package main

import (
	"context"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/cluster"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
)

type controllerOptions struct {
	serveOptions
	clusterOptions
	configOptions
	log logOptions
}

func newControllerCommand() *cobra.Command {
	var o controllerOptions
	cmd := &cobra.Command{
		Use:   "controller",
		Short: "Serve the CSI controller of a Kubernetes cluster",
		Long: `Serve the CSI identity and controller services, with records in Kubernetes. It has the
sidecars of CSI beside it, and touches no disk: the agents of the nodes ('hostpath-csi
node') do what it writes down. It needs no privilege on its machine.

Nodes that were taken out of the cluster have their records ended by it, as far as
nobody needs them. A released PersistentVolume with the annotation
hostpath-csi.dev/reclaim: recycle is emptied, and made available again.`,
		Example: `  # In its pod
  hostpath-csi controller --endpoint unix:///csi/csi.sock --namespace hostpath-csi \
    --config /etc/hostpath-csi/config.yaml --metrics-address :9808 --health-address :9809

  # On a desk, against some cluster
  hostpath-csi controller --endpoint unix:///tmp/csi.sock --namespace hostpath-csi --kubeconfig ~/.kube/config`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.log.during(cmd.Context(), o.file, o.run) },
	}
	flags := cmd.Flags()
	o.serveOptions.addFlags(flags, "unix:///csi/csi.sock")
	o.clusterOptions.addFlags(flags)
	o.configOptions.addFlags(flags)
	o.log.addFlags(flags)
	return cmd
}

func (o *controllerOptions) run(ctx context.Context) error {
	if err := o.clusterOptions.check(); err != nil {
		return err
	}
	store, client, err := o.connect(ctx, "")
	if err != nil {
		return err
	}
	defer closing("the store", store.Close)
	recorder := cluster.NewRecorder(client, "")
	defaults, offered := config.Builtin, store.Collectors()
	if o.file != "" {
		configMap := o.toldOn(client, recorder, "the controller")
		live, err := openConfig(o.file, nil, &o.log)
		if err != nil {
			configMap.TellAtStart(ctx, err)
			return err
		}
		live.tell = func(wrong error) { configMap.Tell(ctx, wrong) }
		defaults, offered, o.detail = live.defaults, append(offered, live), live.detail
		defer live.follow(ctx, func() { live.tell(nil) })()
	}
	nodes, err := cluster.WatchNodes(ctx, client)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	undertaker := cluster.Undertaker{Nodes: nodes, Store: store}
	background.Go(func() { undertaker.Run(ctx) })
	recycler := cluster.Recycler{Client: client, Volumes: store.Volumes(), Recorder: recorder}
	background.Go(func() { recycler.Run(ctx) })
	herald := cluster.Herald{Client: client, Recorder: recorder, Nodes: nodes, Store: store}
	background.Go(func() { herald.Run(ctx) })

	tracing, stopTracing, err := startTracing(ctx, o.tracingEndpoint, "controller")
	if err != nil {
		return err
	}
	defer stopTracing()
	s := driver.NewServer(driver.Options{Version: version, Tracing: tracing, Healthy: store.Healthy, Records: store.Volumes(), Volumes: store.Volumes(),
		Snapshots: store.Snapshots(), Nodes: store.Nodes(), Defaults: defaults, Away: nodes.Away, FirstPreferenceOnly: true})
	klog.InfoS("Starting", "role", "controller", "version", version, "store", store.UUID())
	return o.serve(ctx, s, offered)
}
