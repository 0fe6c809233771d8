package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func newSnapshotsCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:     "snapshots",
		Short:   "List the snapshots in the pools of this machine",
		Long:    "List the snapshots that lie in the pools of this machine, by the records that they carry.\n\n" + machineHelp,
		Example: `  hostpath-csi snapshots --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pools, unseen := o.look(contextOf(cmd), inspect.Options{Count: -1})
			if pools == nil {
				return unseen
			}
			list := show.Snapshots{Snapshots: []show.Snapshot{}}
			for _, p := range pools {
				for _, s := range p.Snapshots {
					list.Snapshots = append(list.Snapshots, shownSnapshot(s, filepath.Join(p.Path, backend.SnapshotPath(s.ID))))
				}
			}
			if err := o.print(cmd.OutOrStdout(), list, func(wide bool) show.Table { return list.Table(wide, clock()) }); err != nil {
				return err
			}
			return unseen
		},
	}
	o.addFlags(cmd)
	return cmd
}
