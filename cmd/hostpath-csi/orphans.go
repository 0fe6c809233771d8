package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
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
	var endpoint string
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List what lies in the pools and belongs to nobody",
		Long: `List what lies in the pools of this machine where volumes and snapshots do, and carries
no record, or the record of another. The driver never touches it by itself. While it runs it is asked
what else it found, when it started, that carries a record which is not in its store.

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
			list.Orphans = append(list.Orphans, forgotten(pools, askForOrphans(contextOf(cmd), endpoint))...)
			if err := o.print(cmd.OutOrStdout(), list, func(bool) show.Table { return list.Table() }); err != nil {
				return err
			}
			return unseen
		},
	}
	o.addFlags(cmd)
	addEndpointFlag(cmd, &endpoint)
	return cmd
}

// askForOrphans returns those that the driver knows of, each as POOL/PATH; none if it does not answer.
func askForOrphans(ctx context.Context, endpoint string) map[string]bool {
	if _, err := os.Lstat(strings.TrimPrefix(endpoint, "unix://")); err != nil {
		return nil
	}
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	orphans, err := driver.ListOrphans(ctx, conn)
	if err != nil {
		return nil
	}
	known := map[string]bool{}
	for _, orphan := range orphans {
		known[orphan] = true
	}
	return known
}

// forgotten returns what is a volume or a snapshot by the record that it carries, and an orphan by the
// driver's word.
func forgotten(pools []inspect.Pool, known map[string]bool) (orphans []show.Orphan) {
	for _, p := range pools {
		add := func(path string) {
			if known[p.Name+"/"+path] {
				orphans = append(orphans, show.Orphan{Pool: p.Name, Path: path, Why: "the driver has no record of it", Forgotten: true})
			}
		}
		for _, v := range p.Volumes {
			add(strings.TrimPrefix(v.Path, strings.TrimSuffix(p.Path, "/")+"/"))
		}
		for _, s := range p.Snapshots {
			add(backend.SnapshotPath(s.ID))
		}
	}
	return orphans
}
