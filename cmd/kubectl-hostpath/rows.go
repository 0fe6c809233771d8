package main

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// phaseOf tells where a record stands: its end may have been asked for and not begun.
func phaseOf(phase state.Phase, d *v1alpha1.Deletion, m *metav1.ObjectMeta) state.Phase {
	if d.DeletedAt != nil || m.DeletionTimestamp != nil {
		return state.Deleting
	}
	return cmp.Or(phase, state.Pending)
}

func shownVolume(v *v1alpha1.HostPathVolume) show.Volume {
	spec, status := v.Desired(), v.Observed()
	shown := show.Volume{ID: v.Name, Name: spec.Name, Claim: spec.Claim, Node: spec.Node, Pool: spec.Pool, AccessType: spec.AccessType,
		CapacityBytes: cmp.Or(status.CapacityBytes, spec.CapacityBytes), Enforced: status.Enforced, Path: status.Path,
		CreatedAt: v.CreationTimestamp.Time, Phase: phaseOf(status.Phase, v.Deletion(), &v.ObjectMeta), Health: slices.Clone(status.Health)}
	if spec.Ephemeral != nil {
		shown.Pod = &spec.Ephemeral.Pod
	}
	if status.Reason != "" { // why it failed, or what its deletion or growth waits for
		bad := state.Health{Type: state.Degraded, Reason: string(status.Reason), Message: status.Message}
		if status.Phase == state.Failed {
			bad.Type = state.Inaccessible
		}
		shown.Health = append(shown.Health, bad)
	}
	return shown
}

func shownSnapshot(s *v1alpha1.HostPathSnapshot) show.Snapshot {
	spec, status := s.Desired(), s.Observed()
	shown := show.Snapshot{ID: s.Name, Name: spec.Name, Volume: spec.Volume, Node: spec.Node, Pool: spec.Pool, SizeBytes: status.SizeBytes,
		Atomic: status.Atomic, ReadyToUse: status.ReadyToUse, Path: status.Path, CreatedAt: s.CreationTimestamp.Time,
		Phase: phaseOf(status.Phase, s.Deletion(), &s.ObjectMeta), Reason: status.Reason, Message: status.Message}
	if status.UsedBytes > 0 {
		shown.UsedBytes = &status.UsedBytes
	}
	if status.Progress != nil && !status.ReadyToUse {
		shown.CopiedBytes = &status.Progress.Bytes
	}
	return shown
}

// place is a pool of a node.
type place struct{ node, pool string }

// countBy counts what is in each pool.
func countBy[T any](all []T, in func(T) place) map[place]int {
	counts := map[place]int{}
	for _, t := range all {
		counts[in(t)]++
	}
	return counts
}

// ofNode adds up the counts of one node.
func ofNode(counts map[place]int, node string) (n int) {
	for at, count := range counts {
		if at.node == node {
			n += count
		}
	}
	return n
}
