package main

import (
	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/suite"
)

const copiesWorkerCommand = "copies-worker"

func newCopiesCommand() *cobra.Command {
	o := suite.DefaultCopies()
	m := measuring{worker: copiesWorkerCommand}
	var quick bool
	cmd := &cobra.Command{
		Use:   "copies",
		Short: "Measure snapshots, restores and clones, beside the bare system calls",
		Long: `Measure snapshots, restores and clones on each filesystem: of one file, small and
large, and of many small files; and the creation of empty volumes, with a limit where
this kernel has one for them.

Every operation is done first by the floor: a subvolume's snapshot by ioctl, FICLONE,
copy_file_range, or cp -a for many files; each with the fsync that makes it durable.

It needs root, a directory on a real disk (not tmpfs), and room there for four times the
largest file. Nothing is left behind.`,
		Example: `  # everything: some minutes
  bench copies --driver ../../bin/hostpath-csi

  # does it work?
  bench copies --quick

  # one question: a snapshot of 1 GiB on XFS
  bench copies --filesystems xfs --sizes 1073741824 --files 0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if quick {
				given := o
				o = suite.QuickCopies()
				o.Driver, o.Dir, o.Filesystems, o.ProjectQuota = given.Driver, given.Dir, given.Filesystems, given.ProjectQuota
			}
			if err := o.Validate(); err != nil {
				return err
			}
			return m.run(cmd, o, new(report.Copies))
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Driver, "driver", o.Driver, "path of the driver's binary")
	f.StringVar(&o.Dir, "dir", o.Dir, "where to make the work directory, on a real disk (default: the system's directory for temporary files)")
	f.StringSliceVar(&o.Filesystems, "filesystems", o.Filesystems, "the filesystems to measure on, each in an image file; tmpfs in memory")
	f.Int64Var(&o.ImageSize, "image-size", o.ImageSize, "size of that image file, in bytes; it is sparse")
	f.Int64SliceVar(&o.Sizes, "sizes", o.Sizes, "sizes of the one file in a volume, in bytes")
	f.IntSliceVar(&o.Files, "files", o.Files, "how many small files a volume has; 0: none")
	f.IntVar(&o.Creates, "creates", o.Creates, "how many empty volumes to create")
	f.BoolVar(&o.ProjectQuota, "project-quota", false, "only create empty volumes, XFS and ext4 with project quota: it takes a kernel that has it, such as that of tests/vm")
	f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often floor and driver take turns; medians are reported")
	f.DurationVar(&o.Patience, "patience", o.Patience, "after how long no more rounds are begun with a volume")
	f.BoolVar(&quick, "quick", false, "a smoke run of seconds: small files, one round")
	m.addFlags(cmd)
	cmd.MarkFlagsMutuallyExclusive("quick", "strict")
	return cmd
}
