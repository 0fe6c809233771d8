package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// looking is what the driver's program tells on the nodes of archives.
func looking(pod string, command []string) ([]byte, error) {
	node := map[string]string{"node-a": "worker-1", "node-b": "worker-2"}[pod]
	tell := func(list any) ([]byte, error) { return json.Marshal(list) }
	switch strings.Join(command[1:3], " ") {
	case "orphans ls":
		if pod == "node-a" {
			return tell(show.Orphans{Orphans: []show.Orphan{{Pool: "fast", Path: "volumes/backup", Why: "it carries no record"}, {Pool: "big", Path: "images/\x1b[2J", Why: "it carries no record"}}})
		}
		return tell(show.Orphans{Orphans: []show.Orphan{{Pool: "fast", Path: "claims/shop/x", Why: "its record is of volume pvc-1"}, {Pool: "fast", Path: "volumes/pvc-2", Why: "the driver has no record of it", Forgotten: true}}})
	case "orphans remove":
		if slices.Contains(command, "fast/volumes/used") {
			return nil, errors.New("removing fast/volumes/used: it is mounted")
		}
		return []byte("gone\n"), nil
	case "du --config":
		used := int64(1 << 30)
		if pod == "node-b" {
			used *= 3
		}
		return tell(show.Use{Volumes: []show.Volume{{ID: "pvc-" + node, Node: "what a record says", Pool: "fast", CapacityBytes: 4 << 30, UsedBytes: &used,
			Claim: &state.Claim{Namespace: "shop", Name: "data-" + node}, Path: "/mnt/nvme/volumes/pvc-" + node, Enforced: true}}})
	case "volumes --config":
		if pod == "node-b" {
			return nil, errors.New("the pool cannot be read")
		}
		used := int64(3 << 30)
		return tell(show.Volumes{Volumes: []show.Volume{{ID: "pvc-1", Node: "what a record says", Pool: "fast", CapacityBytes: 1, UsedBytes: &used, UsedAtLeast: true, Targets: []string{"/var/lib/kubelet/pods/x"}},
			{ID: "pvc-1", Pool: "another", UsedBytes: new(int64)}, {ID: "pvc-0", Pool: "fast", UsedBytes: new(int64)}}})
	case "doctor --config":
		return []byte("RESULT   ABOUT     CHECK    FOUND\nFAIL     machine   kubelet  none\n"), errors.New("1 check failed")
	}
	return nil, errors.New("unknown command")
}

func TestWhatOnlyNodesKnowIsShown(t *testing.T) {
	a := serveArchives(t)
	for name, args := range map[string][]string{
		"orphans":        {"orphans", "ls"},
		"orphans-node":   {"orphans", "ls", "--node", "worker-1", "--pool", "fast", "-o", "json"},
		"orphans-remove": {"orphans", "remove", "--all", "--pool", "fast", "--yes"},
		"du":             {"du"},
		"du-node":        {"du", "--node", "worker-2", "-o", "yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := a.run(args...)
			must(t, err)
			wantGolden(t, name, got)
		})
	}
}

// TestNodesTellWhatVolumesTake: beside the records, of which one node says nothing.
func TestNodesTellWhatVolumesTake(t *testing.T) {
	a := serveArchives(t)
	volume := func(id, node string) v1alpha1.HostPathVolume {
		var v v1alpha1.HostPathVolume
		v.Name, v.CreationTimestamp = id, metav1.NewTime(frozen.Add(-time.Hour))
		v.Spec.Node, v.Spec.Pool, v.Spec.CapacityBytes, v.Status.Phase = node, "fast", 4<<30, state.Ready
		return v
	}
	a.volumes = []v1alpha1.HostPathVolume{volume("pvc-1", "worker-1"), volume("pvc-2", "worker-2")}
	out, err := a.run("volumes", "--used", "-o", "wide")
	if err == nil || err.Error() != "node worker-2: the pool cannot be read" {
		t.Errorf("of a node that cannot tell: %v", err)
	}
	wantGolden(t, "volumes-used", out)
	a.ran = nil
	if _, err := a.run("volumes"); err != nil || len(a.ran) > 0 {
		t.Errorf("without --used, %v; it ran %q", err, a.ran)
	}
}

// TestOrphansAreRemovedOnTheirNode is about what is run there, at the socket of that node's driver.
func TestOrphansAreRemovedOnTheirNode(t *testing.T) {
	a := serveArchives(t)
	a.pods.Items[1].Spec.Containers = []corev1.Container{{Name: "other", Args: []string{"--endpoint=unix:///wrong"}},
		{Name: "hostpath-csi", Args: []string{"node", "--endpoint=unix:///opt/kubelet/plugins/hostpath-csi.dev/csi.sock"}}}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"orphans", "remove", "-y", "--node", "worker-1", "fast/volumes/-x", "big/images/i"}, []string{
			"node-a: /hostpath-csi orphans remove --endpoint unix:///var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock --config /etc/hostpath-csi/config.yaml --yes -- fast/volumes/-x",
			"node-a: /hostpath-csi orphans remove --endpoint unix:///var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock --config /etc/hostpath-csi/config.yaml --yes -- big/images/i"}},
		{[]string{"orphans", "remove", "-y", "--node", "worker-2", "--all"}, []string{
			"node-b: /hostpath-csi orphans ls --endpoint unix:///opt/kubelet/plugins/hostpath-csi.dev/csi.sock --config /etc/hostpath-csi/config.yaml -o json",
			"node-b: /hostpath-csi orphans remove --endpoint unix:///opt/kubelet/plugins/hostpath-csi.dev/csi.sock --config /etc/hostpath-csi/config.yaml --yes -- fast/claims/shop/x"}},
	} {
		a.ran = nil
		_, err := a.run(c.args...)
		must(t, err)
		if !slices.Equal(a.ran, c.want) {
			t.Errorf("%q ran\n%s", c.args, strings.Join(a.ran, "\n"))
		}
	}
	a.ran = nil
	out, err := a.run("orphans", "remove", "-y", "--node", "worker-1", "fast/volumes/used", "fast/volumes/x")
	if err == nil || err.Error() != "node worker-1: removing fast/volumes/used: it is mounted" || out != "fast/volumes/x goes from node worker-1\n" {
		t.Errorf("of one that stays, and one that goes: %v, printed %q", err, out)
	}
}

func TestADoctorsWordIsPassedOn(t *testing.T) {
	a := serveArchives(t)
	a.pods.Items[1].Spec.Containers = []corev1.Container{{Name: "hostpath-csi", Args: []string{"--endpoint=unix:///opt/kubelet/plugins/hostpath-csi.dev/csi.sock"}}}
	out, err := a.run("doctor", "worker-2", "-o", "wide")
	if err == nil || err.Error() != "node worker-2: 1 check failed" || !strings.Contains(out, "FAIL     machine") {
		t.Errorf("%v, printed %q", err, out)
	}
	if want := []string{"node-b: /hostpath-csi doctor --config /etc/hostpath-csi/config.yaml -o wide --kubelet-dir /opt/kubelet"}; !slices.Equal(a.ran, want) {
		t.Errorf("it ran %q", a.ran)
	}
}

func TestWhatKeepsOrphansIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":        {[]string{"remove"}, "it takes either the orphans to remove"},
		"some and all":   {[]string{"remove", "--all", "fast/volumes/x"}, "it takes either"},
		"no node":        {[]string{"remove", "-y", "fast/volumes/x"}, "--node is missing"},
		"no pool":        {[]string{"remove", "-y", "--node", "worker-1", "/volumes/x"}, "it takes POOL/PATH"},
		"two pools":      {[]string{"remove", "-y", "--node", "worker-1", "--pool", "fast", "fast/volumes/x"}, "--pool is given"},
		"nobody to ask":  {[]string{"remove", "--all"}, "give --yes"},
		"no such node":   {[]string{"remove", "-y", "--node", "worker-7", "fast/volumes/x"}, `node "worker-7"`},
		"nobody adopted": {[]string{"adopt", "fast/volumes/x"}, "--node is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			a := serveArchives(t)
			out, err := a.run(append([]string{"orphans"}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q; printed:\n%s", err, c.want, out)
			}
			for _, ran := range a.ran {
				if strings.Contains(ran, "remove") {
					t.Errorf("it ran %s", ran)
				}
			}
		})
	}
	a := serveArchives(t)
	a.pods.Items[1].Status.Phase = corev1.PodPending
	if out, err := a.run("orphans", "remove", "--all", "-y"); err == nil || !strings.Contains(err.Error(), "node worker-2 was not asked") || out != "" {
		t.Errorf("with a node away: %v; printed:\n%s", err, out)
	}
}
