package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// machineOptions are the flags of the commands that look at this machine: which pools,
// and how to show them.
type machineOptions struct {
	file       string
	nodeLabels string
	pools      []string
	output     show.Format
}

func newMachineOptions() machineOptions { return machineOptions{output: show.AsTable} }

// clock tells ages; tests stop it.
var clock = time.Now

const machineHelp = `The pools are those of --pool or --config, which may come from the driver's own
environment: HOSTPATH_CSI_POOL, HOSTPATH_CSI_CONFIG. Only the disks are read, and the
kernel's list of mounts: it works while the driver runs and after it died, takes no
lock and changes nothing. Needs root.`

func (o *machineOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&o.pools, "pool", nil, "pool to look at, as NAME=PATH; may be given several times (required, or --config)")
	flags.StringVar(&o.file, "config", "", "the driver's configuration file, which names the pools")
	flags.StringVar(&o.nodeLabels, "node-labels", "", "labels of this node, as NAME=VALUE,..., by which the pools of --config are chosen (default: those that lie here, too)")
	addOutputFlag(cmd, flags, &o.output)
}

func addOutputFlag(cmd *cobra.Command, flags *pflag.FlagSet, output *show.Format) {
	flags.VarP(output, "output", "o", "how to show it: table, wide, json or yaml")
	completeOutput(cmd, show.Formats)
}

func completeOutput(cmd *cobra.Command, formats []string) {
	if err := cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// choose returns the pools that the flags name. Their paths are not looked at.
func (o *machineOptions) choose() ([]agent.PoolOptions, error) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard) // what matters is shown
	switch {
	case o.file != "" && len(o.pools) > 0:
		return nil, errors.New("--pool and --config are both given; it takes one of them")
	case o.file == "":
		return parsePools(o.pools)
	}
	c, err := readConfig(o.file, nil)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	chosen, err := o.here(c)
	if err != nil {
		return nil, err
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("--config: %s has no pool for a node with the labels %q: give the node's as --node-labels", o.file, o.nodeLabels)
	}
	return poolOptions(chosen), nil
}

// here returns the pools of this node: those that its labels choose or, if they are not
// given, those of all nodes and those that there are at their paths.
func (o *machineOptions) here(c *config.Configuration) (chosen []config.Pool, err error) {
	if o.nodeLabels != "" {
		nodeLabels, err := parseNodeLabels(o.nodeLabels)
		if err != nil {
			return nil, err
		}
		return c.On(nodeLabels)
	}
	for _, p := range c.Pools {
		_, err := pool.ReadMarker(p.Path)
		if p.Nodes.Empty() || err == nil {
			chosen = append(chosen, p)
		}
	}
	return chosen, nil
}

// look looks at the pools, in the order of their names. What was seen of them is
// returned even with an error, which is about those that could not be seen.
func (o *machineOptions) look(ctx context.Context, how inspect.Options) (pools []inspect.Pool, err error) {
	chosen, err := o.choose()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(chosen, func(a, b agent.PoolOptions) int { return cmp.Compare(a.Name, b.Name) })
	var unseen []error
	for _, c := range chosen {
		p, err := inspect.Look(ctx, c.Name, c.Path, how)
		if err != nil {
			return pools, err
		}
		p.Labels = c.Labels
		if c.Cordoned {
			p.Cordoned = "cordoned: true in the configuration file"
		}
		if p.Err != nil {
			unseen = append(unseen, fmt.Errorf("pool %s: %w", c.Name, p.Err))
		}
		pools = append(pools, p)
	}
	return pools, errors.Join(unseen...)
}

// print shows a list as the flags say.
func (o *machineOptions) print(out io.Writer, list any, table func(wide bool) show.Table) error {
	return show.Print(out, o.output, show.StyleFor(out), list, table)
}

// contextOf returns the command's context, which a test may not have set.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

func shownVolume(v inspect.Volume) show.Volume {
	shown := show.Volume{ID: v.ID, Name: v.Spec.Name, Claim: v.Spec.Claim, Node: v.Spec.Node, Pool: v.Spec.Pool, AccessType: v.Spec.AccessType,
		CapacityBytes: v.Spec.CapacityBytes, UsedBytes: v.UsedBytes, UsedAtLeast: v.AtLeast, Enforced: v.Status.Enforced,
		Path: v.Path, Targets: v.Targets, CreatedAt: v.CreatedAt, Phase: v.Status.Phase, Health: v.Health}
	if v.Spec.Ephemeral != nil {
		shown.Pod = &v.Spec.Ephemeral.Pod
	}
	return shown
}

func shownSnapshot(s state.Snapshot, path string) show.Snapshot {
	return show.Snapshot{ID: s.ID, Name: s.Spec.Name, Volume: s.Spec.Volume, Node: s.Spec.Node, Pool: s.Spec.Pool, SizeBytes: s.Status.SizeBytes,
		Atomic: s.Status.Atomic, ReadyToUse: true, Path: path, CreatedAt: s.CreatedAt, Phase: state.Ready}
}
