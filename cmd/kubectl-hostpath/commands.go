package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// clock tells ages; tests stop it.
var clock = time.Now

// run connects, and has a command do its work.
func (o *options) run(work func(ctx context.Context, c *cluster, out io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		c, err := o.connect()
		if err != nil {
			return err
		}
		return work(cmd.Context(), c, cmd.OutOrStdout())
	}
}

func (o *options) print(out io.Writer, list any, table func(wide bool) show.Table) error {
	return show.Print(out, o.output, show.StyleFor(out), list, table)
}

// selector chooses by node and pool, on the API server's side.
func (o *options) selector() string {
	set := fields.Set{}
	for field, value := range map[string]string{"spec.node": o.node, "spec.pool": o.pool} {
		if value != "" {
			set[field] = value
		}
	}
	return set.AsSelector().String()
}

func newSnapshotsCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "snapshots",
		Short:   "List the snapshots of the cluster",
		Example: "  kubectl hostpath snapshots",
		Args:    cobra.NoArgs,
		RunE: o.run(func(ctx context.Context, c *cluster, out io.Writer) error {
			all, err := c.snapshots(ctx, o.selector())
			if err != nil {
				return err
			}
			list := show.Snapshots{Snapshots: []show.Snapshot{}}
			for i := range all {
				list.Snapshots = append(list.Snapshots, shownSnapshot(&all[i]))
			}
			return o.print(out, list, func(wide bool) show.Table { return list.Table(wide, clock()) })
		}),
	}
	o.addChoice(cmd)
	return cmd
}

func newPoolsCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "pools",
		Short:   "Show how full the pools of the cluster are",
		Long:    "Show the pools of every node: how full their filesystems were when the node's agent last\ntold, how much of them is promised to volumes, and what lies in them.",
		Example: "  kubectl hostpath pools --pool fast",
		Args:    cobra.NoArgs,
		RunE: o.run(func(ctx context.Context, c *cluster, out io.Writer) error {
			nodes, err := o.readNodes(ctx, c)
			if err != nil {
				return err
			}
			list := show.Pools{Pools: []show.Pool{}}
			for _, n := range nodes.all {
				for _, p := range n.Status.Pools {
					if o.pool != "" && p.Name != o.pool {
						continue
					}
					at := place{n.Spec.Node, p.Name}
					list.Pools = append(list.Pools, show.Pool{Node: n.Spec.Node, PoolStatus: p, Volumes: nodes.volumes[at], Snapshots: nodes.snapshots[at]})
				}
			}
			return o.print(out, list, list.Table)
		}),
	}
	o.addChoice(cmd)
	return cmd
}

func newNodesCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "nodes",
		Short:   "List the nodes that have pools",
		Example: "  kubectl hostpath nodes",
		Args:    cobra.NoArgs,
		RunE: o.run(func(ctx context.Context, c *cluster, out io.Writer) error {
			nodes, err := o.readNodes(ctx, c)
			if err != nil {
				return err
			}
			list := show.Nodes{Nodes: []show.Node{}}
			for _, n := range nodes.all {
				list.Nodes = append(list.Nodes, show.Node{Node: n.Spec.Node, Pools: n.Status.Pools, CreatedAt: n.CreationTimestamp.Time,
					Volumes: ofNode(nodes.volumes, n.Spec.Node), Snapshots: ofNode(nodes.snapshots, n.Spec.Node)})
			}
			return o.print(out, list, func(wide bool) show.Table { return list.Table(wide, clock()) })
		}),
	}
}

// nodes are the nodes, and how much is in their pools.
type nodes struct {
	all                []v1alpha1.HostPathNode
	volumes, snapshots map[place]int
}

func (o *options) readNodes(ctx context.Context, c *cluster) (n nodes, err error) {
	// Nodes have no pool to be selected by.
	byNode := ""
	if o.node != "" {
		byNode = fields.OneTermEqualSelector("spec.node", o.node).String()
	}
	if n.all, err = c.nodes(ctx, byNode); err != nil {
		return n, err
	}
	if o.node != "" && len(n.all) == 0 {
		return n, fmt.Errorf("there is no node %s with pools", state.Quote(o.node))
	}
	slices.SortFunc(n.all, func(a, b v1alpha1.HostPathNode) int { return cmp.Compare(a.Spec.Node, b.Spec.Node) })
	volumes, err := c.volumes(ctx, byNode)
	if err != nil {
		return n, err
	}
	snapshots, err := c.snapshots(ctx, byNode)
	n.volumes = countBy(volumes, func(v v1alpha1.HostPathVolume) place { return place{v.Spec.Node, v.Spec.Pool} })
	n.snapshots = countBy(snapshots, func(s v1alpha1.HostPathSnapshot) place { return place{s.Spec.Node, s.Spec.Pool} })
	return n, err
}
