package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

// countQuickly is how many inodes of a volume are counted where the filesystem does not
// know what it takes: some milliseconds' worth. du counts all.
const countQuickly = 5000

func newVolumesCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:   "volumes [ID]...",
		Short: "List the volumes in the pools of this machine",
		Long: `List the volumes that lie in the pools of this machine, by the records that they carry:
as of each volume's creation or last expansion. What a volume takes is asked of the
filesystem; where that does not count, files are counted up to a number, and a > says
that there are more: see 'hostpath-csi du'.

` + machineHelp,
		Example: `  hostpath-csi volumes --pool default=/var/lib/hostpath-csi/pool

  # With IDs and targets, of the pools of the driver's configuration file
  hostpath-csi volumes --config /etc/hostpath-csi/config.yaml -o wide`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			pools, unseen := o.look(contextOf(cmd), inspect.Options{Count: countQuickly, Only: ids})
			if pools == nil {
				return unseen
			}
			list, err := volumesOf(pools, ids)
			if err != nil {
				return err
			}
			if err := o.print(cmd.OutOrStdout(), list, func(wide bool) show.Table { return list.Table(wide, clock()) }); err != nil {
				return err
			}
			return unseen
		},
	}
	o.addFlags(cmd)
	cmd.ValidArgsFunction = o.completeIDs
	return cmd
}

// volumesOf returns the volumes of those IDs, or all if none is given.
func volumesOf(pools []inspect.Pool, ids []string) (list show.Volumes, err error) {
	list.Volumes = []show.Volume{}
	missing := slices.Clone(ids)
	for _, p := range pools {
		for _, v := range p.Volumes {
			if len(ids) > 0 && !slices.Contains(ids, v.ID) {
				continue
			}
			missing = slices.DeleteFunc(missing, func(id string) bool { return id == v.ID })
			list.Volumes = append(list.Volumes, shownVolume(v))
		}
	}
	if len(missing) > 0 {
		return list, fmt.Errorf("there is no volume %q in these pools", missing[0])
	}
	return list, nil
}

// completeIDs completes the IDs of volumes.
func (o *machineOptions) completeIDs(cmd *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	for _, p := range o.lookToComplete(cmd) {
		for _, v := range p.Volumes {
			if !slices.Contains(given, v.ID) {
				ids = append(ids, v.ID)
			}
		}
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

// lookToComplete looks at the pools of a command line that is being written; none if
// they cannot be seen.
func (o *machineOptions) lookToComplete(cmd *cobra.Command) []inspect.Pool {
	if fromEnvironment(cmd.Flags()) != nil {
		return nil
	}
	slices.Sort(o.pools)
	o.pools = slices.Compact(o.pools) // cobra reads the flags twice
	pools, _ := o.look(contextOf(cmd), inspect.Options{Count: -1})
	return pools
}
