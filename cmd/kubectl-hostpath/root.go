package main

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "devel"

// options are the flags of every command: kubectl's own about the cluster, and how to
// show what is in it.
type options struct {
	kubeconfig string
	overrides  clientcmd.ConfigOverrides
	output     show.Format

	node, pool string

	// progress tells a person how far long work is.
	progress *show.Progress

	// driverNamespace is where the pods of the node plugin are.
	driverNamespace string
	exec            func(ctx context.Context, pod string, command []string) (stdout []byte, err error) // of tests; nil: in the pod
}

func newRootCommand() *cobra.Command {
	return newCommands(&options{output: show.AsTable})
}

func newCommands(o *options) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-hostpath",
		Short: "Show the volumes, snapshots, pools and nodes of hostpath-csi in a cluster",
		Long: `Show the volumes, snapshots, pools and nodes of hostpath-csi in a cluster, as its records
in Kubernetes tell of them. They say what a node's agent saw last; what is on a node's
disks now, 'hostpath-csi' tells there.

It takes kubectl's flags and configuration, and may what its user may: get and list the
resources of the group hostpath-csi.dev. What asks the nodes, or makes something, takes more.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl hostpath"},
		SilenceUsage:  true,
		SilenceErrors: true,

		PersistentPreRun: func(cmd *cobra.Command, _ []string) { o.progress = show.ProgressOn(cmd.ErrOrStderr()) },
	}
	o.addFlags(root.PersistentFlags())
	complete(root, "output", cobra.FixedCompletions(show.Formats, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(newVolumesCommand(o), newSnapshotsCommand(o), newPoolsCommand(o), newNodesCommand(o), newArchiveCommand(o), newOrphansCommand(o), newAdoptCommand(o), newDuCommand(o), newDoctorCommand(o), newVersionCommand())
	return root
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "path to the kubeconfig file (default: as kubectl finds it)")
	clientcmd.BindOverrideFlags(&o.overrides, flags, clientcmd.RecommendedConfigOverrideFlags(""))
	// The records are of the whole cluster.
	_ = flags.MarkHidden(clientcmd.FlagNamespace)
	flags.VarP(&o.output, "output", "o", "how to show it: table, wide, json or yaml")
}

// addChoice adds the flags that choose by node and pool.
func (o *options) addChoice(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.node, "node", "", "only what is on this node")
	cmd.Flags().StringVar(&o.pool, "pool", "", "only what is in pools of this name")
	complete(cmd, "node", o.completeNodes)
	complete(cmd, "pool", o.completePools)
}

func complete(cmd *cobra.Command, flag string, how cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, how); err != nil {
		panic(err) // there is no such flag
	}
}

// config returns how to reach the cluster, as kubectl would.
func (o *options) config() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &o.overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("how to reach the cluster: %w", err)
	}
	c.QPS, c.Burst = 50, 300 // as kubectl has it; with the default, waiting for a volume is held up
	c.UserAgent = "kubectl-hostpath/" + version
	return c, nil
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kubectl-hostpath %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
