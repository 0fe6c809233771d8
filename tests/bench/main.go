// Program bench measures hostpath-csi, beside the bare system calls that no such
// driver can do without, and compares stores that it could keep its records in.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/suite"
)

// Child processes are killed when the thread that started them ends (see
// process.Isolated): the main one does not before the program does.
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "bench",
		Short:         "Measure hostpath-csi",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(
		newRunCommand(), newWorkerCommand(runWorkerCommand, suite.Run),
		newCopiesCommand(), newWorkerCommand(copiesWorkerCommand, suite.RunCopies),
		newStoreCommand(), newStoreWorkerCommand(),
		newFloorWorkerCommand(),
	)
	return cmd
}
