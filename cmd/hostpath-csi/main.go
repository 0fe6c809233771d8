// Command hostpath-csi provisions CSI volumes out of directories on a node's own disks.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := newRootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hostpath-csi:", err)
		os.Exit(1)
	}
}
