package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// Herald tells whoever has a volume what is wrong with it, as far as no sidecar does: in
// events on its claim and its PersistentVolume, or on the volume's record if it has
// neither. What is wrong is told once, and once more when nothing is any more.
type Herald struct {
	Client   *Client
	Recorder *Recorder
	Nodes    *Nodes
	Store    state.Store

	// told are the reasons that were told, by the UID of the volume's record. It has the
	// volumes only with which something is wrong.
	told map[string][]string
}

const (
	// NodeGone is that a volume's node was taken out of the cluster.
	NodeGone = "NodeGone"
	// NotEmptied is that a volume that is to be recycled cannot be emptied.
	NotEmptied = "NotEmptied"
	// Recovered is that nothing is wrong with a volume any more.
	Recovered = "Recovered"
)

// Run looks until ctx ends.
func (h *Herald) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := h.sweep(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "What is wrong with volumes could not all be told in events; it is tried again")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep looks at every volume.
func (h *Herald) sweep(ctx context.Context) error {
	nodes, _, err := h.Store.Nodes().List(ctx, state.Page{})
	if err != nil {
		return err
	}
	statuses := make(map[string]state.NodeStatus, len(nodes))
	for _, n := range nodes {
		statuses[n.ID] = n.Status
	}
	volumes, _, err := h.Store.Volumes().List(ctx, state.Page{})
	if err != nil {
		return err
	}
	gone := make(map[string]bool)
	told := make(map[string][]string)
	var errs error
	for _, v := range volumes {
		if v.Status.Phase != state.Ready || v.DeletedAt != nil {
			continue
		}
		node := v.Spec.Node
		if _, known := gone[node]; !known {
			if gone[node], err = h.Nodes.Gone(ctx, node); err != nil {
				return errors.Join(errs, err)
			}
		}
		now, err := h.tell(ctx, v, concerns(v, statuses[node], gone[node]))
		if len(now) > 0 {
			told[v.UID] = now
		}
		errs = errors.Join(errs, err)
	}
	h.told = told // those of volumes that are gone are forgotten
	return errs
}

// concerns are what whoever has the volume should know.
func concerns(v state.Volume, n state.NodeStatus, gone bool) []state.Health {
	if gone {
		return []state.Health{{Type: state.Inaccessible, Reason: NodeGone, Message: fmt.Sprintf("node %s was taken out of the cluster, and the volume's data is on its disk: "+
			"bring the node back under its name, or delete the claim, and have the data restored from elsewhere into another", v.Spec.Node)}}
	}
	all := state.HealthOf(v, n)
	if state.Emptying(v) && v.Status.Message != "" {
		all = append(all, state.Health{Type: state.Degraded, Reason: NotEmptied, Message: "it cannot be recycled yet: " + v.Status.Message})
	}
	return all
}

// tell tells what was not told before, and returns the reasons of all that was told. An
// error leaves the rest for another time.
func (h *Herald) tell(ctx context.Context, v state.Volume, all []state.Health) (told []string, err error) {
	before := h.told[v.UID]
	for _, c := range all {
		if slices.Contains(before, c.Reason) {
			told = append(told, c.Reason)
		}
	}
	if len(told) == len(all) && (len(all) > 0 || len(before) == 0) {
		return told, nil
	}
	whom, err := h.whom(ctx, v)
	if err != nil {
		return before, err
	}
	say := func(kind, reason, message string) error {
		var errs error
		for _, ref := range whom {
			errs = errors.Join(errs, h.Recorder.Tell(ctx, ref, kind, reason, message))
		}
		return errs
	}
	if len(all) == 0 {
		if err := say(corev1.EventTypeNormal, Recovered, "Nothing is wrong with the volume any more: it was "+strings.Join(before, ", ")); err != nil {
			return before, err
		}
		return nil, nil
	}
	for _, c := range all {
		if slices.Contains(before, c.Reason) {
			continue
		}
		if err := say(corev1.EventTypeWarning, c.Reason, c.Message); err != nil {
			return told, err
		}
		told = append(told, c.Reason)
	}
	return told, nil
}

// whom returns what leads people to a volume: its PersistentVolume, and the claim that is
// bound to that now, which need not be the one that it was made for.
func (h *Herald) whom(ctx context.Context, v state.Volume) ([]corev1.ObjectReference, error) {
	record := []corev1.ObjectReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "HostPathVolume", Name: v.ID, UID: dashed(v.UID)}}
	name := v.ID
	if v.Spec.Claim != nil && v.Spec.Claim.PV != "" {
		name = v.Spec.Claim.PV
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pv, err := h.Client.PersistentVolumes.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return record, nil
	case err != nil:
		return nil, fmt.Errorf("reading PersistentVolume %s: %w", name, err)
	case !ours(pv) || pv.Spec.CSI.VolumeHandle != v.ID:
		return record, nil
	}
	whom := []corev1.ObjectReference{referenceTo(pv)}
	if claim := pv.Spec.ClaimRef; claim != nil && claim.UID != "" && pv.Status.Phase == corev1.VolumeBound {
		whom = append(whom, corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID})
	}
	return whom, nil
}

// dashed is a record's UID as the API server writes it.
func dashed(uid string) types.UID {
	if len(uid) != 32 {
		return types.UID(uid)
	}
	return types.UID(strings.Join([]string{uid[:8], uid[8:12], uid[12:16], uid[16:20], uid[20:]}, "-"))
}
