package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// sweepEvery is how often the records are looked through for those of nodes that are
// gone, beside whenever a node goes.
const sweepEvery = 15 * time.Second

// Undertaker ends the records of nodes that were taken out of the cluster, in the place
// of their agents. It ends what nobody needs:
//
//	a volume or snapshot whose deletion is asked for   its data is out of reach, for good
//	                                                   (see state.Removable)
//	one that was never ready                           nobody was told of it
//	an ephemeral volume                                its pod is gone, too
//	the node's own record, and its Lease               when it has no other records
//
// All others stay: they say what was on the node. Should the node return, what has
// no record is reported there as an orphan, and not served.
type Undertaker struct {
	Nodes *Nodes
	Store state.Store
}

// Run looks until ctx ends.
func (u *Undertaker) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := u.sweep(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "The records of nodes that are gone could not all be ended; it is tried again")
		}
		select {
		case <-tick.C:
		case <-u.Nodes.left:
		case <-ctx.Done():
			return
		}
	}
}

func (u *Undertaker) sweep(ctx context.Context) error {
	gone := make(map[string]bool)
	isGone := func(node string) (bool, error) {
		if known, ok := gone[node]; ok {
			return known, nil
		}
		is, err := u.Nodes.Gone(ctx, node)
		if err == nil {
			gone[node] = is
		}
		return is, err
	}
	held := make(map[string]bool) // nodes that have other records
	volumes := end(ctx, u.Store.Volumes(), isGone, held, "volume", func(v state.Volume) (string, bool) {
		return v.Spec.Node, answered(v.Status.Phase) && v.Spec.Ephemeral == nil && !state.Removable(v)
	})
	snapshots := end(ctx, u.Store.Snapshots(), isGone, held, "snapshot", func(s state.Snapshot) (string, bool) {
		return s.Spec.Node, answered(s.Status.Phase) && !state.RemovableSnapshot(s)
	})
	return errors.Join(volumes, snapshots, u.endNodes(ctx, isGone, held))
}

// answered tells whether somebody was told that there is what a record of this phase is about.
func answered(p state.Phase) bool { return p != "" && p != state.Pending && p != state.Failed }

// end finalizes the records of one kind that nobody needs, and notes down the nodes
// of the others. look tells the node of one, and whether it is needed.
func end[S, U any](ctx context.Context, records state.Owned[S, U], isGone func(string) (bool, error), held map[string]bool,
	kind string, look func(state.Object[S, U]) (node string, needed bool)) error {
	all, _, err := records.List(ctx, state.Page{})
	if err != nil {
		return err
	}
	var errs error
	for _, r := range all {
		node, needed := look(r)
		is, err := isGone(node)
		if err != nil {
			errs = errors.Join(errs, err)
		}
		if !is || needed {
			held[node] = true
			continue
		}
		if err := records.Finalize(ctx, r.ID, r.UID); err != nil && state.ReasonOf(err) != state.NotFound {
			held[node] = true
			errs = errors.Join(errs, fmt.Errorf("ending the record of %s %s: %w", kind, r.ID, err))
			continue
		}
		klog.InfoS("A record of a node that is gone was ended; what its disk holds of it is out of reach", "kind", kind, "id", r.ID, "node", node, "deleted", r.DeletedAt != nil)
	}
	return errs
}

func (u *Undertaker) endNodes(ctx context.Context, isGone func(string) (bool, error), held map[string]bool) error {
	nodes, _, err := u.Store.Nodes().List(ctx, state.Page{})
	if err != nil {
		return err
	}
	var errs error
	for _, n := range nodes {
		if held[n.ID] {
			continue
		}
		if is, err := isGone(n.ID); err != nil || !is {
			errs = errors.Join(errs, err)
			continue
		}
		if err := u.Store.Nodes().Finalize(ctx, n.ID, n.UID); err != nil && state.ReasonOf(err) != state.NotFound {
			errs = errors.Join(errs, fmt.Errorf("ending the record of node %s: %w", n.ID, err))
			continue
		}
		errs = errors.Join(errs, u.Nodes.forget(ctx, n.ID))
		klog.InfoS("The record of a node that is gone was ended", "node", n.ID)
	}
	return errs
}
