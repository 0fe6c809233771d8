//go:build kubestore

package kube

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func mustKubectl(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := server.Kubectl(ctx, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// wantColumns compares a table that kubectl shows, but for how wide its columns are.
func wantColumns(t *testing.T, got string, want ...string) {
	t.Helper()
	got = regexp.MustCompile(` {2,}`).ReplaceAllString(strings.TrimSpace(got), " | ")
	got = regexp.MustCompile(`(?m) +$`).ReplaceAllString(got, "")
	got = regexp.MustCompile(`\b\d+s\b`).ReplaceAllString(got, "AGE")
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestKubectlWaitsForConditions(t *testing.T) {
	s := openEmpty(t, Options{})
	ctx := soon(t)
	mustCreate(t, s, "a", "n1")
	if out, err := server.Kubectl(ctx, "wait", "--for=condition=Ready", "--timeout=1s", "hostpathvolume/a"); err == nil {
		t.Errorf("waited for a volume that is not there yet: %s", out)
	}
	if _, err := s.Volumes().UpdateStatus(ctx, "a", func(u *state.VolumeStatus) error {
		*u = state.VolumeStatus{Phase: state.Ready, Enforced: true, ObservedGeneration: 1}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, condition := range []string{"Ready", "Healthy", "SizeEnforced"} {
		mustKubectl(ctx, t, "wait", "--for=condition="+condition, "--timeout=10s", "hostpathvolume/a")
	}
	if _, err := s.Snapshots().Create(ctx, "s", state.SnapshotSpec{Name: "s", Volume: "a", Node: "n1", Pool: "default"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshots().UpdateStatus(ctx, "s", func(u *state.SnapshotStatus) error {
		u.Phase, u.ReadyToUse = state.Ready, true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mustKubectl(ctx, t, "wait", "--for=condition=ReadyToUse", "--timeout=10s", "hostpathsnapshot/s")
}

func TestKubectlShowsAllPoolsOfANode(t *testing.T) {
	s := openEmpty(t, Options{})
	ctx := soon(t)
	if _, err := s.Nodes().Create(ctx, "n1", state.NodeSpec{}); err != nil {
		t.Fatal(err)
	}
	const gi = 1 << 30
	if _, err := s.Nodes().UpdateStatus(ctx, "n1", func(u *state.NodeStatus) error {
		u.Pools = []state.PoolStatus{
			{Name: "bulk", Usage: state.Usage{TotalBytes: 20 * gi}, AvailableBytes: 19 * gi, ReadyVolumes: 1},
			{Name: "fast", Health: []state.Health{{Type: state.Inaccessible, Reason: "PoolGone", Message: "mount its disk"}}},
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	mustKubectl(ctx, t, "wait", "--for=condition=Ready", "--timeout=10s", "hostpathnode/n1")
	mustKubectl(ctx, t, "wait", "--for=condition=PoolsUsable=false", "--timeout=10s", "hostpathnode/n1")
	wantColumns(t, mustKubectl(ctx, t, "get", "hpn", "-o", "wide"),
		"NAME | READY | POOLS | FREE | VOLUMES | SNAPSHOTS | PROBLEM | AGE | MESSAGE",
		"n1 | True | 1/2 | bulk 19Gi/20Gi, fast unusable | 1 | 0 | PoolGone | AGE | pool fast: mount its disk")
}

func TestKubectlShowsWhoseVolumesTheseAre(t *testing.T) {
	s := openEmpty(t, Options{})
	ctx := soon(t)
	bound := spec("a", "n1")
	bound.Claim = &state.Claim{Namespace: "shop", Name: "data-db-0", PV: "a"}
	if _, err := s.Volumes().Create(ctx, "a", bound); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Volumes().UpdateStatus(ctx, "a", func(u *state.VolumeStatus) error {
		*u = state.VolumeStatus{Phase: state.Ready, Path: "volumes/a", Enforced: true, ObservedGeneration: 1}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	inline := spec("b", "n2")
	inline.Ephemeral = &state.Ephemeral{Pod: state.Pod{Namespace: "shop", Name: "db-0", UID: "u"}, Target: "/t"}
	if _, err := s.Volumes().Create(ctx, "b", inline); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Volumes().UpdateStatus(ctx, "b", func(u *state.VolumeStatus) error {
		*u = state.VolumeStatus{Phase: state.Failed, Reason: state.NoSpace, Message: "the pool is full", ObservedGeneration: 1}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshots().Create(ctx, "s", state.SnapshotSpec{Name: "s", Volume: "a", VolumeUID: "u", Node: "n1", Pool: "default", AccessType: state.MountAccess}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshots().UpdateStatus(ctx, "s", func(u *state.SnapshotStatus) error {
		u.Phase, u.SizeBytes, u.ReadyToUse = state.Ready, 1<<30, true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for resource, cells := range map[string][]string{
		"hpv/a": {"READY", "NODE", "POOL", "BYTES", "PHASE", "REASON", "NAMESPACE", "CLAIM", "POD", "AGE", "ENFORCED", "PATH", "MESSAGE",
			"True", "n1", "default", "1073741824", "Ready", "shop", "data-db-0", "true", "volumes/a"},
		"hpv/b": {"False", "n2", "Failed", "NoSpace", "db-0", "the pool is full"},
		"hps/s": {"VOLUME", "NODE", "POOL", "BYTES", "PHASE", "REASON", "AGE", "MESSAGE", "a", "n1", "default", "1073741824", "Ready"},
	} {
		out := mustKubectl(ctx, t, "get", resource, "-o", "wide")
		for _, cell := range cells {
			if !regexp.MustCompile(`(^|\s)` + regexp.QuoteMeta(cell) + `(\s|$)`).MatchString(out) {
				t.Errorf("kubectl get %s does not show %q:\n%s", resource, cell, out)
			}
		}
	}
	// The category has them all.
	if out := mustKubectl(ctx, t, "get", "hostpath-csi", "-o", "name"); strings.Count(out, "hostpathvolume.") != 2 || strings.Count(out, "hostpathsnapshot.") != 1 {
		t.Errorf("kubectl get hostpath-csi shows\n%s", out)
	}
}
