package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func newPoolsCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:   "pools",
		Short: "Show how full the pools of this machine are",
		Long: `Show the pools of this machine: how full their filesystems are, how much of them is
promised to volumes, and what lies in them.

` + machineHelp,
		Example: `  hostpath-csi pools --pool fast=/mnt/nvme0 --pool big=/mnt/hdd0`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pools, unseen := o.look(contextOf(cmd), inspect.Options{Count: -1})
			if pools == nil {
				return unseen
			}
			list, unreadable := show.Pools{Pools: []show.Pool{}}, 0
			for _, p := range pools {
				shown := show.Pool{PoolStatus: p.PoolStatus, Volumes: len(p.Volumes), Snapshots: len(p.Snapshots)}
				if p.Err == nil {
					shown.Trash = &p.Trash
				} else {
					unreadable++
				}
				list.Pools = append(list.Pools, shown)
			}
			if err := o.print(cmd.OutOrStdout(), list, list.Table); err != nil {
				return err
			}
			if unreadable > 0 { // the list says why
				return fmt.Errorf("%s cannot be read", show.Count(unreadable, "pool"))
			}
			return nil
		},
	}
	o.addFlags(cmd)
	return cmd
}
