package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func newOrphansCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "orphans",
		Short: "Find what lies in pools and belongs to no volume, make volumes of it, or remove it",
		Long: `Find what lies in pools and belongs to no volume, make volumes of it, or remove it.

` + onNodesHelp,
	}
	o.addDriverNamespace(cmd)
	cmd.AddCommand(newOrphansListCommand(o), newAdoptCommand(o), newOrphansRemoveCommand(o))
	return cmd
}

func newOrphansListCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List what lies in the pools of the nodes and belongs to nobody",
		Example: "  kubectl hostpath orphans ls --node worker-1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := o.connectNodes()
			if err != nil {
				return err
			}
			list, unseen := nodes.orphans(cmd.Context(), o.node, o.pool)
			if list == nil {
				return unseen
			}
			return errors.Join(o.print(cmd.OutOrStdout(), list, func(bool) show.Table { return list.Table() }), unseen)
		},
	}
	o.addChoice(cmd)
	return cmd
}

// orphans asks the nodes, as ask does.
func (n *nodePods) orphans(ctx context.Context, node, pool string) (*show.Orphans, error) {
	list := &show.Orphans{Orphans: []show.Orphan{}}
	asked, unseen := ask(ctx, n, node, "orphans ls --endpoint "+itsEndpoint, func(node string, there show.Orphans) {
		for _, found := range there.Orphans {
			if found.Node = node; pool == "" || pool == found.Pool {
				list.Orphans = append(list.Orphans, found)
			}
		}
	})
	if !asked {
		return nil, unseen
	}
	slices.SortStableFunc(list.Orphans, func(a, b show.Orphan) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Path, b.Path))
	})
	return list, unseen
}

// orphanRemoval are the flags of orphans remove.
type orphanRemoval struct {
	*options
	all, yes bool
}

func newOrphansRemoveCommand(o *options) *cobra.Command {
	r := orphanRemoval{options: o}
	cmd := &cobra.Command{
		Use:   "remove {POOL/PATH... --node NODE | --all}",
		Short: "Remove orphans from their nodes, for good",
		Long: `Remove orphans from the pools of their node: POOL and PATH are those that 'kubectl hostpath
orphans ls' lists. --all removes all of them, of all nodes, or of --node, or of --pool, but what
carries a record of its own, which has to be named.

The node's driver refuses whatever a record speaks of, and what is mounted. There is no way back.
On a terminal it asks first; elsewhere it takes --yes.`,
		Example: "  kubectl hostpath orphans remove fast/volumes/backup-of-monday --node worker-1",
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, err := o.connectNodes()
			if err != nil {
				return err
			}
			orphans, err := r.choose(cmd.Context(), nodes, args)
			if err != nil {
				return err
			}
			if len(orphans) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), show.Orphans{}.Table().Empty)
				return err
			}
			if !r.yes {
				var names []string
				for _, orphan := range orphans {
					names = append(names, strings.Join([]string{orphan.Node, orphan.Pool, orphan.Path}, "/"))
				}
				if err := show.Confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), "removes", names); err != nil {
					return err
				}
			}
			return nodes.removeOrphans(cmd.Context(), orphans, cmd.OutOrStdout())
		},
	}
	o.addChoice(cmd)
	cmd.Flags().BoolVar(&r.all, "all", false, "remove all that carries no record, or another's")
	cmd.Flags().BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	return cmd
}

// choose returns the orphans that the command line names, or those that the nodes know.
func (r *orphanRemoval) choose(ctx context.Context, nodes *nodePods, named []string) (orphans []show.Orphan, err error) {
	switch {
	case r.all == (len(named) > 0):
		return nil, errors.New("it takes either the orphans to remove, each as POOL/PATH, or --all")
	case r.all:
		list, err := nodes.orphans(ctx, r.node, r.pool)
		if err != nil {
			return nil, err
		}
		return slices.DeleteFunc(list.Orphans, func(o show.Orphan) bool { return o.Forgotten }), nil
	case r.node == "":
		return nil, errors.New("--node is missing: it takes the node that the orphans are on")
	case r.pool != "":
		return nil, errors.New("--pool is given with the orphans' own pools; it goes with --all")
	}
	for _, name := range named {
		pool, path, ok := strings.Cut(name, "/")
		if !ok || pool == "" || path == "" {
			return nil, fmt.Errorf("got %s; it takes POOL/PATH, such as fast/volumes/stray", state.Quote(name))
		}
		orphans = append(orphans, show.Orphan{Node: r.node, Pool: pool, Path: path})
	}
	return orphans, nil
}

// removeOrphans has each removed by the driver of its node; one that stays keeps no other.
func (n *nodePods) removeOrphans(ctx context.Context, orphans []show.Orphan, out io.Writer) error {
	var failed []error
	for _, orphan := range orphans {
		pods, _, err := n.list(ctx, orphan.Node)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		name := orphan.Pool + "/" + orphan.Path
		if _, err := n.run(ctx, pods[0], "orphans remove --endpoint "+itsEndpoint, "--yes", "--", name); err != nil {
			failed = append(failed, err)
			continue
		}
		if _, err := fmt.Fprintf(out, "%s goes from node %s\n", show.Name(name), show.Name(orphan.Node)); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}
