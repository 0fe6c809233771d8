package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func newArchiveCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "List, bring back or remove deleted volumes that are kept (onDelete: archive)",
		Long: `List, bring back or remove deleted volumes that are kept.

` + onNodesHelp,
	}
	o.addDriverNamespace(cmd)
	cmd.AddCommand(newArchiveListCommand(o), newArchiveRestoreCommand(o), newArchivePurgeCommand(o))
	return cmd
}

func newArchiveListCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the deleted volumes that are kept on the nodes",
		Example: "  kubectl hostpath archive ls --node worker-1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := o.connectNodes()
			if err != nil {
				return err
			}
			list, unseen := nodes.archive(cmd.Context(), o.node, o.pool)
			if list == nil {
				return unseen
			}
			err = o.print(cmd.OutOrStdout(), list, func(bool) show.Table { return list.Table(clock()) })
			return errors.Join(err, unseen)
		},
	}
	o.addChoice(cmd)
	return cmd
}

// archive asks the nodes, as ask does.
func (n *nodePods) archive(ctx context.Context, node, pool string) (*show.Archive, error) {
	list := &show.Archive{Archived: []show.Archived{}}
	asked, unseen := ask(ctx, n, node, "archive ls", func(node string, there show.Archive) {
		for _, a := range there.Archived {
			if a.Node = node; pool == "" || pool == a.Pool {
				list.Archived = append(list.Archived, a)
			}
		}
	})
	if !asked {
		return nil, unseen
	}
	slices.SortStableFunc(list.Archived, func(a, b show.Archived) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pool, b.Pool))
	})
	return list, unseen
}

// inArchive returns the one entry of that name that the flags choose.
func (o *options) inArchive(ctx context.Context, nodes *nodePods, name string) (show.Archived, error) {
	list, unseen := nodes.archive(ctx, o.node, o.pool)
	if list == nil {
		return show.Archived{}, unseen
	}
	var found []show.Archived
	for _, a := range list.Archived {
		if a.Name == name {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 0:
		return show.Archived{}, errors.Join(&notArchived{name}, unseen)
	case len(found) > 1:
		return show.Archived{}, fmt.Errorf("%s is in pool %s of node %s and in pool %s of node %s: give --node or --pool", state.Quote(name), found[0].Pool, found[0].Node, found[1].Pool, found[1].Node)
	}
	return found[0], nil
}

// notArchived means that the archives that were seen lack a name.
type notArchived struct{ name string }

func (e *notArchived) Error() string {
	return fmt.Sprintf("no archive has %s: kubectl hostpath archive ls lists what there is", state.Quote(e.name))
}

func newArchivePurgeCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge NAME...",
		Short: "Remove deleted volumes from the archive, for good",
		Long: `Remove volumes from the archive of their node. The driver there moves them to the trash, which
it empties in the background. There is no way back.`,
		Example: "  kubectl hostpath archive purge shop_data-db-0.2026-03-01.6f1e2d1c",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			nodes, err := o.connectNodes()
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := o.purge(cmd.Context(), nodes, name, cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.addChoice(cmd)
	return cmd
}

func (o *options) purge(ctx context.Context, nodes *nodePods, name string, out io.Writer) error {
	a, err := o.inArchive(ctx, nodes, name)
	if err != nil {
		return err
	}
	pods, _, err := nodes.list(ctx, a.Node)
	if err != nil {
		return err
	}
	if _, err := nodes.run(ctx, pods[0], "archive purge --endpoint "+itsEndpoint, "--", a.Name); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s goes from node %s\n", show.Name(a.Name), show.Name(a.Node))
	return err
}
