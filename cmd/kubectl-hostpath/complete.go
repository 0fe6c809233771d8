package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// completer is the name by which kubectl calls a plugin to complete its command line:
// https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/. It is a link to this program.
const completer = "kubectl_complete-hostpath"

// asCalled returns the command line of a program that may be called as the completer.
func asCalled(args []string) []string {
	if len(args) > 0 && filepath.Base(args[0]) == completer {
		return append([]string{args[0], cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args
}

// completionTime is how long a person who pressed a key waits for the cluster.
const completionTime = 3 * time.Second

// completeNodes completes the names of nodes.
func (o *options) completeNodes(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return o.completeFrom(cmd, func(node string, _ []string) []string {
		if slices.Contains(given, node) {
			return nil
		}
		return []string{node}
	})
}

// completePools completes the names of pools.
func (o *options) completePools(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return o.completeFrom(cmd, func(_ string, pools []string) []string { return pools })
}

// completeFrom returns what names makes of each node and its pools; nothing if the cluster does
// not say.
func (o *options) completeFrom(cmd *cobra.Command, names func(node string, pools []string) []string) ([]string, cobra.ShellCompDirective) {
	c, err := o.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	nodes, err := c.nodes(ctx, "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var all []string
	for _, n := range nodes {
		var pools []string
		for _, p := range n.Status.Pools {
			pools = append(pools, p.Name)
		}
		all = append(all, names(n.Spec.Node, pools)...)
	}
	slices.Sort(all)
	return slices.Compact(all), cobra.ShellCompDirectiveNoFileComp
}
