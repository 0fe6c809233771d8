package main

import (
	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func newOrphansCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "orphans",
		Short: "Find what lies in the pools and belongs to no volume, make volumes of it, or remove it",
	}
	cmd.AddCommand(newOrphansListCommand(), newAdoptCommand(), newOrphansRemoveCommand())
	return cmd
}

func newOrphansListCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List what lies in the pools and carries no record, or another's",
		Long: `List what lies in the pools of this machine where volumes and snapshots do, and carries
no record, or the record of another. The driver never touches it by itself. What carries its own
record and is not in the driver's store is listed by the driver only: its metric
hostpath_csi_pool_orphans counts both.

` + machineHelp,
		Example: `  hostpath-csi orphans ls --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pools, unseen := o.look(contextOf(cmd), inspect.Options{Count: -1})
			if pools == nil {
				return unseen
			}
			list := show.Orphans{Orphans: []show.Orphan{}}
			for _, p := range pools {
				for _, found := range p.Contents.Orphans {
					list.Orphans = append(list.Orphans, show.Orphan{Pool: found.Pool, Path: found.Path, Why: found.Why})
				}
			}
			if err := o.print(cmd.OutOrStdout(), list, func(bool) show.Table { return list.Table() }); err != nil {
				return err
			}
			return unseen
		},
	}
	o.addFlags(cmd)
	return cmd
}
