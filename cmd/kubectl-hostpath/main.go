// Command kubectl-hostpath shows the volumes, snapshots, pools and nodes of a cluster,
// as a plugin of kubectl: `kubectl hostpath volumes`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	os.Args = asCalled(os.Args)
	err := newRootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubectl hostpath:", err)
		os.Exit(1)
	}
}
