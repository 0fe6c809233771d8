package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "hostpath-csi",
		Short: "A CSI driver for volumes out of directories on a node's own disks",
		Long: `hostpath-csi provisions CSI volumes out of directories on a node's own disks.

Every flag can be given as an environment variable, too: HOSTPATH_CSI_ and the
flag's name in capitals, such as HOSTPATH_CSI_STATE_DIR for --state-dir. A flag on
the command line wins.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags()) },
	}
	root.AddCommand(newStandaloneCommand(), newControllerCommand(), newNodeCommand(), newRecoverCommand(), newConfigCommand(), newVersionCommand())
	root.AddCommand(newVolumesCommand(), newSnapshotsCommand(), newPoolsCommand(), newOrphansCommand(), newAdoptCommand(), newDuCommand(), newArchiveCommand(), newDoctorCommand())
	return root
}

// fromEnvironment sets the flags that the command line left out.
func fromEnvironment(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := environmentName(f.Name)
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || f.Name == "help" || failed != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = fmt.Errorf("environment variable %s: %w", name, err)
		}
	})
	return failed
}

func environmentName(flag string) string {
	return "HOSTPATH_CSI_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
