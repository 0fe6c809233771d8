package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

// frozen is when the golden files were written.
var frozen = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestTheClusterIsShown(t *testing.T) {
	api := serve(t, 500)
	for name, args := range map[string][]string{
		"volumes":        {"volumes"},
		"volumes-wide":   {"volumes", "-o", "wide"},
		"volumes-yaml":   {"volumes", "-o", "yaml", "--node", "worker-2"},
		"snapshots":      {"snapshots"},
		"snapshots-wide": {"snapshots", "-o", "wide"},
		"pools":          {"pools"},
		"pools-fast":     {"pools", "--pool", "fast", "-o", "wide"},
		"pools-json":     {"pools", "--node", "worker-2", "-o", "json"},
		"nodes":          {"nodes"},
		"nodes-wide":     {"nodes", "-o", "wide"},
	} {
		t.Run(name, func(t *testing.T) {
			got := api.mustRun(t, args...)
			wantGolden(t, name, got)
		})
	}
}

// wantGolden compares what was printed with testdata/NAME.golden, or writes that with -update.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("printed:\n%s\n%s has:\n%s\n(go test ./cmd/kubectl-hostpath -update writes it)", got, path, want)
	}
}

func TestALongListIsReadPageByPage(t *testing.T) {
	whole, paged := serve(t, 500).mustRun(t, "volumes"), serve(t, 1)
	if got := paged.mustRun(t, "volumes"); got != whole || paged.asked < 4 {
		t.Errorf("in %d pages it is:\n%s\nand in one:\n%s", paged.asked, got, whole)
	}
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   string
	}{
		"not installed": {http.StatusNotFound, "hostpath-csi is not installed there"},
		"not allowed":   {http.StatusForbidden, "ask for the right to get and list"},
		"expired":       {http.StatusGone, "try again"},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, 500)
			api.refuse = c.status
			for _, args := range [][]string{{"volumes"}, {"snapshots"}, {"pools"}, {"nodes"}} {
				if _, err := api.run(args...); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%q: %v, want %q", args, err, c.want)
				}
			}
		})
	}
	api := serve(t, 500)
	for want, args := range map[string][]string{
		`no node "worker-9"`:      {"pools", "--node", "worker-9"},
		"table, wide, json, yaml": {"pools", "-o", "xml"},
		"unknown command":         {"volumes", "surplus"},
		"how to reach":            {"volumes", "--kubeconfig", "/nonexistent"},
	} {
		if _, err := api.run(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

func TestShellsComplete(t *testing.T) {
	api := serve(t, 500)
	for line, want := range map[string]string{
		"pools -o ":                   "table\nwide\njson\nyaml\n",
		"volumes --node ":             "worker-1\nworker-2\n",
		"volumes --pool ":             "big\nfast\n",
		"doctor ":                     "worker-1\nworker-2\n",
		"doctor worker-1 ":            ":",
		"adopt fast/legacy/a --node ": "worker-1\nworker-2\n",
		"orphans remove --node ":      "worker-1\nworker-2\n",
	} {
		if got := api.mustRun(t, append([]string{"__complete"}, strings.Split(line, " ")...)...); !strings.HasPrefix(got, want) {
			t.Errorf("completion of %q is:\n%s", line, got)
		}
	}
	api.refuse = http.StatusForbidden // a key that is pressed is no time for errors
	if got := api.mustRun(t, "__complete", "volumes", "--node", ""); !strings.HasPrefix(got, ":1\n") {
		t.Errorf("without the right to look, completion is:\n%s", got)
	}
	if got := asCalled([]string{"/usr/local/bin/kubectl_complete-hostpath", "pools", "-o", ""}); !slices.Equal(got[1:], []string{"__complete", "pools", "-o", ""}) {
		t.Errorf("kubectl's own completion asks %q", got)
	}
	if got := asCalled([]string{"kubectl-hostpath", "pools"}); len(got) != 2 {
		t.Errorf("kubectl asks %q", got)
	}
}

// fakeAPI answers lists as an API server does.
type fakeAPI struct {
	*httptest.Server
	page, asked, refuse int
}

func serve(t *testing.T, page int) *fakeAPI {
	t.Helper()
	clock = func() time.Time { return frozen }
	t.Setenv("LC_ALL", "C")
	api := &fakeAPI{page: page}
	api.Server = httptest.NewServer(http.HandlerFunc(api.answer))
	t.Cleanup(func() {
		api.Close()
		clock = time.Now
	})
	return api
}

func (f *fakeAPI) run(args ...string) (string, error) {
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	at := "--server=" + f.URL
	if args[0] == "__complete" { // what is completed is the last word
		args = append([]string{args[0], at}, args[1:]...)
	} else {
		args = append(args, at)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

func (f *fakeAPI) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := f.run(args...)
	if err != nil {
		t.Fatalf("kubectl hostpath %q: %v", args, err)
	}
	return out
}

func (f *fakeAPI) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if f.refuse != 0 {
		reasons := map[int]metav1.StatusReason{http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusForbidden: metav1.StatusReasonForbidden, http.StatusGone: metav1.StatusReasonExpired}
		w.WriteHeader(f.refuse)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(f.refuse), Reason: reasons[f.refuse], Message: "refused"})
		return
	}
	f.asked++
	selector := fields.ParseSelectorOrDie(r.URL.Query().Get("fieldSelector"))
	begin, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	list := map[string]any{"apiVersion": v1alpha1.GroupVersion.String()}
	var items []any
	add := func(item any, node, pool string) {
		if selector.Matches(fields.Set{"spec.node": node, "spec.pool": pool}) {
			items = append(items, item)
		}
	}
	switch r.URL.Path {
	case "/apis/hostpath-csi.dev/v1alpha1/hostpathvolumes":
		list["kind"] = "HostPathVolumeList"
		for _, v := range volumes() {
			add(v, v.Spec.Node, v.Spec.Pool)
		}
	case "/apis/hostpath-csi.dev/v1alpha1/hostpathsnapshots":
		list["kind"] = "HostPathSnapshotList"
		for _, s := range snapshots() {
			add(s, s.Spec.Node, s.Spec.Pool)
		}
	case "/apis/hostpath-csi.dev/v1alpha1/hostpathnodes":
		list["kind"] = "HostPathNodeList"
		for _, n := range clusterNodes() {
			add(n, n.Spec.Node, "")
		}
	default:
		http.NotFound(w, r)
		return
	}
	end := min(len(items), begin+f.page)
	list["items"] = append([]any{}, items[begin:end]...)
	if end < len(items) {
		list["metadata"] = map[string]string{"continue": strconv.Itoa(end)}
	}
	_ = json.NewEncoder(w).Encode(list)
}

func meta(name string, age time.Duration) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(frozen.Add(-age))}
}

func volumes() []v1alpha1.HostPathVolume {
	ready := v1alpha1.HostPathVolume{ObjectMeta: meta("pvc-1", 3*time.Hour)}
	ready.Spec.VolumeSpec = state.VolumeSpec{Name: "pvc-1", Node: "worker-1", Pool: "fast", CapacityBytes: 4 << 30, AccessType: state.MountAccess, Claim: &state.Claim{Namespace: "shop", Name: "data-db-0"}}
	ready.Status.VolumeStatus = state.VolumeStatus{Phase: state.Ready, CapacityBytes: 4 << 30, Enforced: true, Path: "volumes/pvc-1"}
	lost := v1alpha1.HostPathVolume{ObjectMeta: meta("pvc-2", 40*24*time.Hour)}
	lost.Spec.VolumeSpec = state.VolumeSpec{Name: "pvc-2", Node: "worker-2", Pool: "big", CapacityBytes: 1 << 40, AccessType: state.BlockAccess, Claim: &state.Claim{Namespace: "shop", Name: "data-db-1"}}
	lost.Status.VolumeStatus = state.VolumeStatus{Phase: state.Ready, CapacityBytes: 1 << 40, Enforced: true, Path: "images/pvc-2",
		Health: []state.Health{{Type: state.DataLoss, Reason: "DirectoryMissing", Message: "images/pvc-2 is not in pool big any more: bring it back from a copy"}}}
	failed := v1alpha1.HostPathVolume{ObjectMeta: meta("pvc-3", 5*time.Second)}
	failed.Spec.VolumeSpec = state.VolumeSpec{Name: "pvc-3", Node: "worker-1", Pool: "fast", CapacityBytes: 1 << 40, AccessType: state.MountAccess}
	failed.Status.VolumeStatus = state.VolumeStatus{Phase: state.Failed, Reason: state.NoSpace, Message: "pool fast has room for 1 byte,\nnot for \x1b[31mmore"}
	deleted := v1alpha1.HostPathVolume{ObjectMeta: meta("pvc-4", time.Minute)}
	deleted.Spec.VolumeSpec = state.VolumeSpec{Name: "pvc-4", Node: "worker-2", Pool: "big", CapacityBytes: 1 << 30, AccessType: state.MountAccess}
	now := metav1.NewMicroTime(frozen)
	deleted.Spec.DeletedAt = &now
	deleted.Status.Phase = state.Ready
	return []v1alpha1.HostPathVolume{ready, lost, failed, deleted}
}

func snapshots() []v1alpha1.HostPathSnapshot {
	ready := v1alpha1.HostPathSnapshot{ObjectMeta: meta("snap-1", time.Hour)}
	ready.Spec.SnapshotSpec = state.SnapshotSpec{Name: "snap-1", Volume: "pvc-1", Node: "worker-1", Pool: "fast"}
	ready.Status.SnapshotStatus = state.SnapshotStatus{Phase: state.Ready, SizeBytes: 4 << 30, UsedBytes: 1 << 30, ReadyToUse: true, Atomic: true, Path: "snapshots/snap-1"}
	copying := v1alpha1.HostPathSnapshot{ObjectMeta: meta("snap-2", time.Minute)}
	copying.Spec.SnapshotSpec = state.SnapshotSpec{Name: "snap-2", Volume: "pvc-2", Node: "worker-2", Pool: "big"}
	copying.Status.SnapshotStatus = state.SnapshotStatus{Phase: state.Copying, SizeBytes: 1 << 40, Progress: &state.Progress{Bytes: 300 << 30}}
	failed := v1alpha1.HostPathSnapshot{ObjectMeta: meta("snap-3", time.Minute)}
	failed.Spec.SnapshotSpec = state.SnapshotSpec{Name: "snap-3", Volume: "pvc-1", Node: "worker-1", Pool: "fast"}
	failed.Status.SnapshotStatus = state.SnapshotStatus{Phase: state.Failed, Reason: state.NoSpace, Message: "pool fast has no room"}
	return []v1alpha1.HostPathSnapshot{ready, copying, failed}
}

func clusterNodes() []v1alpha1.HostPathNode {
	two := v1alpha1.HostPathNode{ObjectMeta: meta("worker-2", 100*24*time.Hour)}
	two.Spec.Node = "worker-2"
	two.Status.Pools = []state.PoolStatus{
		{Name: "big", Path: "/mnt/hdd", Filesystem: "ext4", Usage: state.Usage{TotalBytes: 4 << 40, UsedBytes: 3 << 40, AvailableBytes: 1 << 40}, ReservedBytes: 100 << 30,
			AllocatedBytes: 1<<40 + 1<<30, AvailableBytes: 2 << 40, Cordoned: "cordoned: true in the configuration", Orphans: 2},
		{Name: "fast", Path: "/mnt/nvme", Health: []state.Health{{Type: state.Inaccessible, Reason: "PoolRefused", Message: "mount the disk it is on"}}},
	}
	one := v1alpha1.HostPathNode{ObjectMeta: meta("worker-1", 100*24*time.Hour)}
	one.Spec.Node = "worker-1"
	one.Status.Pools = []state.PoolStatus{{Name: "fast", Path: "/mnt/nvme", UUID: "6f1e2d1c-0000-0000-0000-000000000001", Filesystem: "xfs", EnforcesLimits: true,
		Usage: state.Usage{TotalBytes: 1 << 40, UsedBytes: 900 << 30, AvailableBytes: 124 << 30}, AllocatedBytes: 1 << 40, AvailableBytes: 100 << 30}}
	return []v1alpha1.HostPathNode{two, one}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
