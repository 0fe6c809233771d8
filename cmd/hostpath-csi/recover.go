package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

type recoverOptions struct {
	stateDir string
	pools    []string
	nodeID   string
}

func newRecoverCommand() *cobra.Command {
	var o recoverOptions
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Rebuild a lost or damaged store from the volumes on the disk",
		Long: `Rebuild the store in --state-dir from the records that the volumes and snapshots themselves
carry, and list what was found. A store that is damaged is moved aside, not removed. Volumes
and their contents are not touched; directories without a record stay where they are
and are listed as orphans. It can be repeated.

Stop the driver first. Records are as of a volume's creation or last expansion.`,
		Example: `  hostpath-csi recover --state-dir /var/lib/hostpath-csi/state --pool default=/var/lib/hostpath-csi/pool`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.stateDir, "state-dir", "", "directory of the embedded store (required)")
	cmd.Flags().StringArrayVar(&o.pools, "pool", nil, "pool to recover, as the driver has it; may be given several times (required)")
	cmd.Flags().StringVar(&o.nodeID, "node-id", "", "name of this node in CSI, if it is not to be as recorded")
	return cmd
}

func (o *recoverOptions) run(ctx context.Context, out, progress io.Writer) error {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard) // what matters is in the list
	pools, err := parsePools(o.pools)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(o.stateDir) {
		return fmt.Errorf("--state-dir is %q; it takes an absolute path", o.stateDir)
	}
	if o.nodeID != "" {
		if err := driver.CheckNodeID(o.nodeID); err != nil {
			return fmt.Errorf("--node-id: %w", err)
		}
	}
	if ctx == nil {
		ctx = context.Background()
	}
	store, err := o.openStore(progress)
	if err != nil {
		return err
	}
	line := show.ProgressOn(progress)
	found, err := agent.Recover(ctx, agent.RecoverOptions{Pools: pools, Volumes: store.Volumes(), Snapshots: store.Snapshots(), Nodes: store.Nodes(), Store: store.UUID(), NodeID: o.nodeID,
		Progress: func(pool string, done, of int) {
			if what := fmt.Sprintf("pool %s: %d of %d directories", pool, done, of); line != nil {
				line.Share(done, of, what)
			} else {
				fmt.Fprintln(progress, what) // for a log
			}
		}})
	line.End()
	if cerr := store.Close(); err == nil {
		err = cerr
	}
	printFound(out, found)
	return err
}

// openStore opens the store that is there, or a new one in its place if it cannot
// be opened.
func (o *recoverOptions) openStore(progress io.Writer) (*pebble.Store, error) {
	store, err := pebble.Open(o.stateDir, pebble.Options{Create: true})
	if state.ReasonOf(err) != state.Corrupt {
		return store, err
	}
	fmt.Fprintln(progress, err)
	aside, err := pebble.SetAside(o.stateDir)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(progress, "moved the damaged store to %s\n", aside)
	return pebble.Open(o.stateDir, pebble.Options{Create: true})
}

func printFound(out io.Writer, found []agent.Found) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "POOL\tPATH\tSIZE\tCLAIM\tOUTCOME")
	counts := map[agent.Outcome]int{}
	for _, f := range found {
		counts[f.Outcome]++
		size, claim, outcome := "-", "-", string(f.Outcome)
		if f.ID != "" {
			size = humanize.IBytes(uint64(f.CapacityBytes))
		}
		if f.Claim != nil {
			claim = f.Claim.Namespace + "/" + f.Claim.Name
		}
		if f.Why != "" {
			outcome += ": " + f.Why
		}
		fmt.Fprintf(w, "%s\t%q\t%s\t%s\t%s\n", f.Pool, f.Path, size, claim, outcome)
	}
	_ = w.Flush()
	fmt.Fprintf(out, "\n%d recorded, %d known before, %d orphans\n", counts[agent.Recorded], counts[agent.Known], counts[agent.Orphan])
}
