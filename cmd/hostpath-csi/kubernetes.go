package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hostpath-csi/hostpath-csi/pkg/cluster"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube"
)

// clusterOptions are the flags of roles whose records are in Kubernetes.
type clusterOptions struct {
	kubeconfig string
	namespace  string
	configMap  string
}

func (o *clusterOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server (default: as a pod does)")
	flags.StringVar(&o.namespace, "namespace", "", "namespace of the Leases of the agents, the driver's own (required)")
	flags.StringVar(&o.configMap, "config-map", "", "ConfigMap of that namespace that --config comes from: what is wrong with it is told in events on it (default: it is not)")
}

func (o *clusterOptions) check() error {
	if o.namespace == "" {
		return errors.New("--namespace is missing; it takes the name of the namespace that the driver runs in, such as hostpath-csi")
	}
	return nil
}

// connect opens the records, and returns a client for what is beside them. node is
// whose records they are; "" for all.
func (o *clusterOptions) connect(ctx context.Context, node string) (*kube.Store, *cluster.Client, error) {
	reach, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	reach.UserAgent = rest.DefaultKubernetesUserAgent()
	client, err := cluster.NewClient(reach, o.namespace)
	if err != nil {
		return nil, nil, fmt.Errorf("--kubeconfig: %w", err)
	}
	store, err := kube.Open(ctx, reach, kube.Options{Node: node})
	return store, client, err
}

// toldOn is the ConfigMap on which events tell of a wrong configuration; nil if it is not known. who
// reads it.
func (o *clusterOptions) toldOn(client *cluster.Client, recorder *cluster.Recorder, who string) *cluster.ConfigMap {
	if o.configMap == "" {
		return nil
	}
	return &cluster.ConfigMap{Client: client, Recorder: recorder, Name: o.configMap, Who: who}
}
