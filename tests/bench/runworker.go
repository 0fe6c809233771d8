package main

import (
	"log"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/suite"
)

// runWorkerCommand is the hidden command that does what `run` is asked to, in a
// mount namespace of its own: whatever ends it, no mount is left behind.
const runWorkerCommand = "run-worker"

func newRunWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    runWorkerCommand,
		Short:  "Measure the driver, as asked on standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return process.Answer(cmd.InOrStdin(), cmd.OutOrStdout(), func(o suite.Options) (*report.Result, error) {
				return suite.Run(cmd.Context(), o, log.New(cmd.ErrOrStderr(), "", log.Ltime))
			})
		},
	}
}
