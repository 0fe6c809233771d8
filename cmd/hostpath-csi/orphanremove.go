package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

// orphanRemoval are the flags of orphans remove.
type orphanRemoval struct {
	machineOptions
	endpoint string
	all, yes bool
}

func newOrphansRemoveCommand() *cobra.Command {
	o := orphanRemoval{machineOptions: newMachineOptions()}
	cmd := &cobra.Command{
		Use:   "remove {POOL/PATH... | --all}",
		Short: "Remove orphans, for good",
		Long: `Remove what lies in a pool where volumes, images and snapshots do, and belongs to nobody.
POOL and PATH are those that 'hostpath-csi orphans ls' lists; --all removes all of them but what
carries a record of its own, which has to be named.

The running driver does it, asked at its socket, where only root may ask. It refuses whatever one
of its records speaks of, and what is mounted, is a mount point or has a loop device. Orphans are
moved to the trash, which it empties in the background. There is no way back.

On a terminal it asks first; elsewhere it takes --yes.`,
		Example: `  hostpath-csi orphans remove big/volumes/backup-of-monday
  hostpath-csi orphans remove --all --yes --pool default=/var/lib/hostpath-csi/pool`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	o.addFlags(cmd)
	addEndpointFlag(cmd, &o.endpoint)
	cmd.Flags().BoolVar(&o.all, "all", false, "remove all that carries no record, or another's")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *orphanRemoval) run(cmd *cobra.Command, orphans []string) error {
	ctx, out := contextOf(cmd), cmd.OutOrStdout()
	switch {
	case o.all == (len(orphans) > 0):
		return errors.New("it takes either the orphans to remove, each as POOL/PATH, or --all")
	case o.all:
		pools, err := o.look(ctx, inspect.Options{Count: -1})
		if err != nil {
			return err
		}
		for _, p := range pools {
			for _, found := range p.Contents.Orphans {
				orphans = append(orphans, found.Pool+"/"+found.Path)
			}
		}
		if len(orphans) == 0 {
			_, err := fmt.Fprintln(out, show.Orphans{}.Table().Empty)
			return err
		}
	}
	if !o.yes {
		if err := show.Confirm(cmd.InOrStdin(), cmd.ErrOrStderr(), "removes", orphans); err != nil {
			return err
		}
	}
	conn, err := dial(o.endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	var failed []error
	for _, orphan := range orphans {
		if err := o.remove(ctx, conn, orphan); err != nil {
			failed = append(failed, err)
			continue
		}
		if _, err := fmt.Fprintf(out, "%s goes\n", show.Name(orphan)); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

func (o *orphanRemoval) remove(ctx context.Context, conn *grpc.ClientConn, orphan string) error {
	err := driver.RemoveOrphan(ctx, conn, orphan)
	if err = answered(o.endpoint, err, "has no disk of its own: ask the driver of the orphan's node"); err != nil {
		err = fmt.Errorf("removing %s: %w", show.Name(orphan), err)
	}
	return err
}
