package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
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
						shown.AccessType, shown.CapacityBytes, shown.Spec = v.Spec.AccessType, v.Spec.CapacityBytes, &v.Spec
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

func newArchivePurgeCommand() *cobra.Command {
	o, endpoint := newMachineOptions(), ""
	cmd := &cobra.Command{
		Use:   "purge NAME...",
		Short: "Remove deleted volumes from the archive, for good",
		Long: `Remove volumes from the archive. The running driver does it, asked at --endpoint, where only
root may ask: it moves them to the trash, which it empties in the background. There is no way back.`,
		Example: `  hostpath-csi archive purge shop_data-db-0.2026-03-01.6f1e2d1c --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			conn, err := dial(endpoint)
			if err != nil {
				return err
			}
			defer conn.Close()
			for _, name := range names {
				where, _, err := o.inArchive(name)
				if err != nil {
					return err
				}
				err = driver.PurgeArchived(contextOf(cmd), conn, where.Name+"/"+name)
				if err := answered(endpoint, err, "has no disk of its own: ask the driver of the volume's node"); err != nil {
					return fmt.Errorf("purging %s: %w", show.Name(name), err)
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s goes\n", show.Name(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.addFlags(cmd)
	addEndpointFlag(cmd, &endpoint)
	cmd.ValidArgsFunction = o.completeArchive
	return cmd
}

// notArchived means that the archives were seen, and lack a name.
type notArchived struct{ name string }

func (e *notArchived) Error() string {
	return fmt.Sprintf("the archive has no %s: hostpath-csi archive ls lists it", state.Quote(e.name))
}

// inArchive returns the pool that has a name in its archive, and the entry.
func (o *machineOptions) inArchive(name string) (where agent.PoolOptions, entry backend.Archived, err error) {
	chosen, err := o.choose()
	if err != nil {
		return where, entry, err
	}
	var found []agent.PoolOptions
	for _, c := range chosen {
		all, err := archived(c.Path)
		if err != nil {
			return where, entry, err
		}
		for _, a := range all {
			if a.Name == name {
				found, entry = append(found, c), a
			}
		}
	}
	switch len(found) {
	case 0:
		return where, entry, &notArchived{name}
	case 1:
		return found[0], entry, nil
	}
	return where, entry, fmt.Errorf("%s is in the archives of pools %s and %s: name one of them with --pool", state.Quote(name), found[0].Name, found[1].Name)
}

func archived(path string) ([]backend.Archived, error) {
	p, err := pool.Look(path)
	if err != nil {
		return nil, err
	}
	all, err := p.Archived()
	return all, errors.Join(err, p.Close())
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
