package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func newArchiveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "List, bring back or remove deleted volumes that are kept (onDelete: archive)",
	}
	cmd.AddCommand(newArchiveListCommand(), newArchiveRestoreCommand(), newArchivePurgeCommand())
	return cmd
}

func newArchiveListCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the deleted volumes that are kept",
		Long:    "List the volumes of class parameter onDelete: archive that were deleted.\n\n" + machineHelp,
		Example: `  hostpath-csi archive ls --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pools, unseen := o.look(contextOf(cmd), inspect.Options{Count: -1})
			if pools == nil {
				return unseen
			}
			list := show.Archive{Archived: []show.Archived{}}
			for _, p := range pools {
				for _, a := range p.Archived {
					shown := show.Archived{Name: a.Name, Pool: p.Name, Path: filepath.Join(p.Path, pool.ArchiveDir, a.Name)}
					if v := a.Volume; v != nil {
						shown.VolumeID, shown.Claim, shown.DeletedAt = v.ID, v.Spec.Claim, &a.DeletedAt
						shown.AccessType, shown.CapacityBytes = v.Spec.AccessType, v.Spec.CapacityBytes
					}
					list.Archived = append(list.Archived, shown)
				}
			}
			if err := o.print(cmd.OutOrStdout(), list, func(bool) show.Table { return list.Table(clock()) }); err != nil {
				return err
			}
			return unseen
		},
	}
	o.addFlags(cmd)
	return cmd
}

func newArchiveRestoreCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "Bring a deleted volume back to its place",
		Long: `Move a volume from the archive to its place, with its contents and its record. It becomes a
volume of the driver again with 'hostpath-csi recover', which the driver has to be
stopped for. It is refused while another volume has that ID.

Where records are in Kubernetes, 'kubectl hostpath archive restore' does it instead.`,
		Example: `  hostpath-csi archive restore shop_data-db-0.2026-03-01.6f1e2d1c --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return o.inArchive(names[0], func(po agent.PoolOptions, p *pool.Pool) error {
				path, v, err := p.Unarchive(names[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "volume %s is at %s again; to have it served, stop the driver, and run\n  hostpath-csi recover --state-dir STATE --pool %s\n",
					show.Name(v.ID), show.Name(filepath.Join(po.Path, path)), show.Name(po.Name+"="+po.Path))
				return err
			})
		},
	}
	o.addFlags(cmd)
	cmd.ValidArgsFunction = o.completeArchive
	return cmd
}

func newArchivePurgeCommand() *cobra.Command {
	o := newMachineOptions()
	cmd := &cobra.Command{
		Use:   "purge NAME...",
		Short: "Remove deleted volumes from the archive, for good",
		Long: `Remove volumes from the archive. They are moved to the trash, which a running driver
empties within a minute, and a stopped one when it starts. There is no way back.`,
		Example: `  hostpath-csi archive purge shop_data-db-0.2026-03-01.6f1e2d1c --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			for _, name := range names {
				err := o.inArchive(name, func(po agent.PoolOptions, p *pool.Pool) error { return p.Expire(name) })
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s goes\n", show.Name(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.addFlags(cmd)
	cmd.ValidArgsFunction = o.completeArchive
	return cmd
}

// inArchive opens the pool that has a name in its archive.
func (o *machineOptions) inArchive(name string, do func(agent.PoolOptions, *pool.Pool) error) error {
	chosen, err := o.choose()
	if err != nil {
		return err
	}
	var where []agent.PoolOptions
	for _, c := range chosen {
		has, err := archiveHas(c.Path, name)
		if err != nil {
			return err
		}
		if has {
			where = append(where, c)
		}
	}
	switch {
	case len(where) == 0:
		return fmt.Errorf("the archive has no %s: hostpath-csi archive ls lists it", state.Quote(name))
	case len(where) > 1:
		return fmt.Errorf("%s is in the archives of pools %s and %s: name one of them with --pool", state.Quote(name), where[0].Name, where[1].Name)
	}
	p, err := pool.Open(where[0].Path)
	if err != nil {
		return err
	}
	return errors.Join(do(where[0], p), p.Close())
}

func archiveHas(path, name string) (bool, error) {
	p, err := pool.Look(path)
	if err != nil {
		return false, err
	}
	all, err := p.Archived()
	for _, a := range all {
		if a.Name == name {
			return true, p.Close()
		}
	}
	return false, errors.Join(err, p.Close())
}

// completeArchive completes names in the archive.
func (o *machineOptions) completeArchive(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	pools := o.lookToComplete(cmd)
	var names []string
	for _, p := range pools {
		for _, a := range p.Archived {
			names = append(names, a.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
