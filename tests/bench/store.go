package main

import (
	"log"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/engine"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

func newStoreCommand() *cobra.Command {
	o := engine.Default()
	var path string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Compare stores that the driver could keep its records in",
		Long: `Compare stores that the driver could keep its records in: how many durable puts they
do in a second, how long a read, a scan and an opening take, and what they need.

pebble commits all puts that wait together. bbolt does so only in the line "bbolt
grouped", where a goroutine gathers them. "append" is the floor: a file, one write
and one fdatasync for each record.`,
		Example: `  # the whole comparison
  bench store --json stores.json

  # quickly, on another disk
  bench store --dir /mnt/nvme --records 1000 --rounds 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := engine.Compare(cmd.Context(), o, log.New(cmd.ErrOrStderr(), "", log.Ltime))
			if err != nil {
				return err
			}
			if err := c.WriteTable(cmd.OutOrStdout()); err != nil {
				return err
			}
			return report.WriteJSON(path, c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", o.Dir, "where to make the work directory, on a real disk (default: the system's directory for temporary files)")
	f.IntSliceVar(&o.Records, "records", o.Records, "how many records there are")
	f.IntSliceVar(&o.InFlight, "in-flight", o.InFlight, "how many puts are in flight")
	f.IntVar(&o.Ops, "ops", o.Ops, "how many puts a round does, for each number in flight")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often the stores take turns; medians are reported")
	f.StringVar(&path, "json", "", "also write the comparison to this file, as JSON")
	return cmd
}

// newStoreWorkerCommand is the other end of engine.Compare; it is not for people.
func newStoreWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    engine.WorkerCommand,
		Short:  "Measure one store, as asked on standard input",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return process.Answer(cmd.InOrStdin(), cmd.OutOrStdout(), func(t engine.Task) (engine.Measured, error) {
				return engine.Work(cmd.Context(), t)
			})
		},
	}
}
