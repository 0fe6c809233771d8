package main

import (
	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/suite"
)

const runWorkerCommand = "run-worker"

func newRunCommand() *cobra.Command {
	o := suite.Default()
	m := measuring{worker: runWorkerCommand}
	var quick bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Measure the driver, beside the bare system calls",
		Long: `Measure the driver: how many operations it does in a second over its socket, how
long they take, and what it needs for that, with few and with many volumes existing.

Every phase is done first by the floor, a process that does nothing but the system
calls that the operation cannot do without, and then by the driver; the ratio of
each such pair says more than a rate, for what else the machine does slows both.

It needs root and a directory on a real disk (not tmpfs), and leaves nothing behind.
What it does is told on standard error, what it found on standard output.`,
		Example: `  # everything: about as long as a coffee
  bench run --driver ../../bin/hostpath-csi --json result.json

  # does it work? half a minute
  bench run --quick

  # one question: what do 20,000 volumes cost at 8 in flight?
  bench run --existing 0,20000 --in-flight 8 --rounds 9

  # on the disk that matters, and fail if a goal is missed
  bench run --dir /mnt/nvme --strict

  # on another filesystem, made for this in a sparse file on the disk
  bench run --filesystem xfs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if quick {
				o = quickly(cmd, o)
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return m.run(cmd, o, new(report.Result))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Driver, "driver", o.Driver, "path of the driver's binary")
	f.StringVar(&o.Dir, "dir", o.Dir, "where to make the work directory, on a real disk (default: the system's directory for temporary files)")
	f.StringVar(&o.Filesystem, "filesystem", o.Filesystem, "make a filesystem of this type (ext4, xfs, ...) in an image file in the work directory, and measure there")
	f.Int64Var(&o.ImageSize, "image-size", o.ImageSize, "size of that image file, in bytes; it is sparse")
	f.IntSliceVar(&o.Existing, "existing", o.Existing, "how many other volumes exist, ascending")
	f.IntSliceVar(&o.InFlight, "in-flight", o.InFlight, "how many calls are in flight")
	f.IntVar(&o.Ops, "ops", o.Ops, "how many volumes a round creates")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often floor and driver take turns; medians are reported")
	f.IntVar(&o.Restarts, "restarts", o.Restarts, "how often to restart the driver with the existing volumes")
	f.IntVar(&o.Connections, "connections", o.Connections, "how many gRPC connections the calls share; orchestrators use one")
	f.Int64Var(&o.VolumeSize, "volume-size", o.VolumeSize, "what volumes are created with, in bytes; nothing is written to them")
	f.BoolVar(&quick, "quick", false, "a smoke run of less than half a minute: few operations, 0 and 1000 volumes")
	m.addFlags(cmd)
	cmd.MarkFlagsMutuallyExclusive("quick", "strict")
	return cmd
}

// quickly returns the options of a quick run, but for those that were given.
func quickly(cmd *cobra.Command, given suite.Options) suite.Options {
	o, changed := suite.Quick(), cmd.Flags().Changed
	o.Filesystem, o.ImageSize = given.Filesystem, given.ImageSize
	o.Driver, o.Dir, o.InFlight, o.Connections, o.VolumeSize = given.Driver, given.Dir, given.InFlight, given.Connections, given.VolumeSize
	if changed("existing") {
		o.Existing = given.Existing
	}
	if changed("ops") {
		o.Ops = given.Ops
	}
	if changed("rounds") {
		o.Rounds = given.Rounds
	}
	if changed("restarts") {
		o.Restarts = given.Restarts
	}
	return o
}
