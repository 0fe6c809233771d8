package main

import (
	"context"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func newDuCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:   "du [ID]...",
		Short: "Count what the volumes of this machine take, the largest first",
		Long: `Count what the volumes in the pools of this machine take, the largest first. Where the
filesystem does not count for each volume, every file is counted, which takes its time.

` + machineHelp,
		Example: `  hostpath-csi du --pool default=/var/lib/hostpath-csi/pool`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			ctx, stop := signal.NotifyContext(contextOf(cmd), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return o.du(ctx, ids, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.addFlags(cmd)
	cmd.ValidArgsFunction = o.completeIDs
	return cmd
}

func (o *machineOptions) du(ctx context.Context, ids []string, out, progress io.Writer) error {
	line := show.ProgressOn(progress)
	pools, unseen := o.look(ctx, inspect.Options{Only: ids, Counting: func(id string, n, of int) { line.Share(n, of, "counting "+show.Name(id)) }})
	line.End()
	if pools == nil || ctx.Err() != nil {
		return unseen
	}
	volumes, err := volumesOf(pools, ids)
	if err != nil {
		return err
	}
	list := show.Use(volumes)
	list.Sort()
	if err := o.print(out, list, func(bool) show.Table { return list.Table(false) }); err != nil {
		return err
	}
	return unseen
}
