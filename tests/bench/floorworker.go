package main

import (
	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/floor"
)

// newFloorWorkerCommand is the other end of floor.Start; it is not for people.
func newFloorWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    floor.WorkerCommand + " DIR",
		Short:  "Do bare system calls in DIR, as asked on standard input",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return floor.Serve(cmd.Context(), args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}
