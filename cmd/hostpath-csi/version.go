package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "devel"

// specVersion is the version of the CSI specification that is implemented.
const specVersion = "1.13.0"

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  hostpath-csi version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "hostpath-csi %s (CSI %s, %s, %s/%s)\n", version, specVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
