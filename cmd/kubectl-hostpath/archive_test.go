package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
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

// archives is a cluster of nodes with archives, and an agent that makes what is declared.
type archives struct {
	*httptest.Server
	pods    corev1.PodList
	ran     []string                  // commands, each with its pod
	refuse  string                    // what the agent says against a volume; "": it makes it
	taken   bool                      // the volume's name is
	empty   bool                      // the archives are
	volumes []v1alpha1.HostPathVolume // that are there
	volume  *v1alpha1.HostPathVolume  // that was asked for
	pv      *corev1.PersistentVolume
	deleted bool
}

func serveArchives(t *testing.T) *archives {
	t.Helper()
	clock = func() time.Time { return frozen }
	t.Setenv("LC_ALL", "C")
	a := &archives{}
	for _, p := range []struct {
		name, node string
		phase      corev1.PodPhase
	}{{"node-a", "worker-1", corev1.PodRunning}, {"node-b", "worker-2", corev1.PodRunning}} {
		pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.name}}
		pod.Spec.NodeName, pod.Status.Phase = p.node, p.phase
		a.pods.Items = append(a.pods.Items, pod)
	}
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(func() {
		a.Close()
		clock = time.Now
	})
	return a
}

func (a *archives) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	say := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	const group = "/apis/hostpath-csi.dev/v1alpha1/hostpathvolumes"
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/hostpath-csi/pods":
		list := a.pods
		list.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}
		if node, ok := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "spec.nodeName="); ok {
			list.Items = slices.DeleteFunc(slices.Clone(list.Items), func(p corev1.Pod) bool { return p.Spec.NodeName != node })
		}
		say(list)
	case r.Method == http.MethodPost && r.URL.Path == group && a.taken:
		if a.volume == nil { // somebody else's
			a.volume = &v1alpha1.HostPathVolume{}
		}
		w.WriteHeader(http.StatusConflict)
		say(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: http.StatusConflict, Reason: metav1.StatusReasonAlreadyExists})
	case r.Method == http.MethodPost && r.URL.Path == group:
		a.volume = &v1alpha1.HostPathVolume{}
		_ = json.NewDecoder(r.Body).Decode(a.volume)
		a.volume.UID = "1"
		say(a.volume)
	case r.Method == http.MethodGet && r.URL.Path == group:
		list := v1alpha1.HostPathVolumeList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "HostPathVolumeList"}}
		list.Items = slices.Clone(a.volumes)
		if a.volume != nil {
			list.Items = append(list.Items, *a.volume)
		}
		say(list)
	case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, group+"/"):
		if a.refuse != "" {
			a.volume.Status.Phase, a.volume.Status.Message = state.Failed, a.refuse
		} else {
			a.volume.Status.Phase, a.volume.Status.CapacityBytes = state.Ready, a.volume.Spec.CapacityBytes
			a.volume.Status.Path = "volumes/" + a.volume.Name
		}
		say(a.volume)
	case r.Method == http.MethodDelete && strings.HasPrefix(r.URL.Path, group+"/"):
		a.deleted = true
		say(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Success"})
	case r.Method == http.MethodPost && r.URL.Path == "/api/v1/persistentvolumes":
		if a.pv != nil {
			w.WriteHeader(http.StatusConflict)
			say(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: http.StatusConflict, Reason: metav1.StatusReasonAlreadyExists})
			return
		}
		a.pv = &corev1.PersistentVolume{}
		_ = json.NewDecoder(r.Body).Decode(a.pv)
		say(a.pv)
	case r.Method == http.MethodGet && a.pv != nil && r.URL.Path == "/api/v1/persistentvolumes/"+a.pv.Name:
		say(a.pv)
	default:
		http.NotFound(w, r)
	}
}

// exec does what the driver's program does on a node.
func (a *archives) exec(_ context.Context, pod string, command []string) ([]byte, error) {
	a.ran = append(a.ran, pod+": "+strings.Join(command, " "))
	if command[1] != "archive" {
		return looking(pod, command)
	}
	if command[2] != "ls" {
		return nil, nil
	}
	if a.empty {
		return json.Marshal(show.Archive{})
	}
	deletedAt := frozen.Add(-50 * time.Hour)
	entry := show.Archived{Name: "shop_data-db-0.2026-02-27.6f1e2d1c", Pool: "fast", Path: "/mnt/nvme/archive/shop_data-db-0.2026-02-27.6f1e2d1c", VolumeID: "pvc-1",
		Claim: &state.Claim{Namespace: "shop", Name: "data-db-0"}, AccessType: state.MountAccess, CapacityBytes: 4 << 30, DeletedAt: &deletedAt,
		Spec: &state.VolumeSpec{Name: "pvc-1", Node: "of old", Pool: "of old", Mode: 0o750, UserID: 26, Path: "shop/data-db-0=pvc-1", OnDelete: state.OnDeleteArchive}}
	strange := show.Archived{Name: "by-hand", Pool: "fast", Path: "/mnt/nvme/archive/by-hand"}
	list := show.Archive{Archived: []show.Archived{entry}}
	if pod == "node-b" {
		list.Archived = []show.Archived{strange}
	}
	out, err := json.Marshal(list)
	return out, err
}

func (a *archives) run(args ...string) (string, error) {
	root := newCommands(&options{output: show.AsTable, exec: a.exec})
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append(args, "--server", a.URL))
	err := root.ExecuteContext(context.Background())
	return out.String(), err
}

const oldVolume = "shop_data-db-0.2026-02-27.6f1e2d1c"

func TestTheArchivesOfAClusterAreShown(t *testing.T) {
	a := serveArchives(t)
	for name, args := range map[string][]string{
		"archive":         {"archive", "ls"},
		"archive-node":    {"archive", "ls", "--node", "worker-2", "-o", "yaml"},
		"archive-restore": {"archive", "restore", oldVolume, "--claim", "shop/data-db-0", "--class", "hostpath-csi"},
		"archive-keep":    {"archive", "restore", oldVolume, "--keep"},
		"archive-purge":   {"archive", "purge", oldVolume},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := a.run(args...)
			must(t, err)
			wantGolden(t, name, got)
		})
	}
}

// What is cut short between its steps goes on when it is asked for again, and a volume that only
// has the name is left alone.
func TestAskedAgainItGoesOn(t *testing.T) {
	for name, args := range map[string][]string{
		"restore": {"archive", "restore", oldVolume, "--as", "db"},
		"adopt":   {"adopt", "fast/legacy/db", "--node", "worker-1", "--as", "db", "--size", "20Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			a := serveArchives(t)
			first, err := a.run(args...)
			must(t, err)
			a.taken = true
			for _, pv := range []*corev1.PersistentVolume{a.pv, nil} { // with the PersistentVolume, and cut short before it
				a.pv = pv
				again, err := a.run(args...)
				must(t, err)
				if again != first || a.pv == nil || a.pv.Spec.CSI.VolumeHandle != "db" {
					t.Errorf("asked again it printed:\n%s\nand at first:\n%s\nthe PersistentVolume is %+v", again, first, a.pv)
				}
			}
			a.pv.Spec.CSI.VolumeHandle = "other"
			if _, err := a.run(args...); err == nil || !strings.Contains(err.Error(), "has no PersistentVolume") {
				t.Errorf("the name of another volume's PersistentVolume: %v", err)
			}
			a.volume.Spec.CapacityBytes++
			if _, err := a.run(args...); err == nil || !strings.Contains(err.Error(), "--as") {
				t.Errorf("the name of another volume: %v", err)
			}
		})
	}
}

func TestPurgeRunsOnTheNodeThatHasIt(t *testing.T) {
	a := serveArchives(t)
	_, err := a.run("archive", "purge", oldVolume)
	must(t, err)
	if last := a.ran[len(a.ran)-1]; last != "node-a: /hostpath-csi archive purge --endpoint "+defaultEndpoint+" --config /etc/hostpath-csi/config.yaml -- "+oldVolume {
		t.Errorf("it ran %q", last)
	}
}

func TestRestoreDeclaresAVolumeAndMakesItsPersistentVolume(t *testing.T) {
	a := serveArchives(t)
	_, err := a.run("archive", "restore", oldVolume, "--as", "back", "--claim", "shop/other", "--class", "hostpath-csi", "--reclaim-policy", "Delete")
	must(t, err)
	if s := a.volume.Spec; a.volume.Name != "back" || s.Node != "worker-1" || s.Pool != "fast" || s.CapacityBytes != 4<<30 || s.Source != nil || s.Adopt != "archive/"+oldVolume ||
		s.Mode != 0o750 || s.UserID != 26 || s.Path != "" || s.OnDelete != state.OnDeleteArchive ||
		*s.Claim != (state.Claim{Namespace: "shop", Name: "other", PV: "back"}) || !slices.Equal(a.volume.Finalizers, []string{v1alpha1.Finalizer}) {
		t.Errorf("the record is %+v", a.volume)
	}
	spec := a.pv.Spec
	if a.pv.Name != "back" || spec.CSI.Driver != "hostpath-csi.dev" || spec.CSI.VolumeHandle != "back" || spec.Capacity.Storage().Value() != 4<<30 || spec.StorageClassName != "hostpath-csi" ||
		spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || spec.ClaimRef.Name != "other" || a.pv.Annotations[provisionedBy] != "hostpath-csi.dev" ||
		spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0] != "worker-1" {
		t.Errorf("the PersistentVolume is %+v", a.pv)
	}
}

func TestWhatIsKeptAsWellIsCopied(t *testing.T) {
	a := serveArchives(t)
	_, err := a.run("archive", "restore", oldVolume, "--keep")
	must(t, err)
	if s := a.volume.Spec; *s.Source != (state.Source{Kind: state.FromArchive, ID: oldVolume}) || s.Adopt != "" || *s.Claim != (state.Claim{Namespace: "shop", Name: "data-db-0", PV: "pvc-1"}) || a.pv.Spec.ClaimRef != nil {
		t.Errorf("the record is %+v, the PersistentVolume %+v", a.volume, a.pv)
	}
}

// What has come back is in no archive any more. Cut short then, and asked again, it goes on.
func TestWhatCameBackIsFoundByItsRecord(t *testing.T) {
	a := serveArchives(t)
	first, err := a.run("archive", "restore", oldVolume)
	must(t, err)
	a.empty = true
	for _, pv := range []*corev1.PersistentVolume{a.pv, nil} {
		a.pv = pv
		again, err := a.run("archive", "restore", oldVolume)
		must(t, err)
		if again != first || a.pv == nil {
			t.Errorf("asked again it printed:\n%s\nand at first:\n%s", again, first)
		}
	}
	for what, args := range map[string][]string{"another": {"other"}, "a copy": {oldVolume, "--keep"}, "another name": {oldVolume, "--as", "other"}, "another node": {oldVolume, "--node", "worker-2"}} {
		if out, err := a.run(append([]string{"archive", "restore"}, args...)...); err == nil || !strings.Contains(err.Error(), "no archive has") {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	now := metav1.Now()
	a.volume.DeletionTimestamp = &now
	if _, err := a.run("archive", "restore", oldVolume); err == nil || !strings.Contains(err.Error(), "no archive has") {
		t.Errorf("what is being deleted: %v", err)
	}
}

func TestWhatKeepsAVolumeInTheArchiveIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *archives)
		args   []string
		want   string
	}{
		"no such one":                 {nil, []string{"restore", "none"}, `no archive has "none"`},
		"no volume":                   {nil, []string{"restore", "by-hand"}, "carries no record of a volume"},
		"not on that node":            {nil, []string{"purge", oldVolume, "--node", "worker-2"}, "no archive has"},
		"a claim of no form":          {nil, []string{"restore", oldVolume, "--claim", "data"}, "NAMESPACE/NAME"},
		"a name of no form":           {nil, []string{"restore", oldVolume, "--as", "../x"}, "--as"},
		"a policy that there is not":  {nil, []string{"restore", oldVolume, "--reclaim-policy", "Recycle"}, "Retain or Delete"},
		"the name is taken":           {func(a *archives) { a.taken = true }, []string{"restore", oldVolume}, "--as"},
		"the agent refuses":           {func(a *archives) { a.refuse = "pool fast has room for 5 bytes" }, []string{"restore", oldVolume}, "room for 5 bytes"},
		"no node plugin":              {func(a *archives) { a.pods.Items = nil }, []string{"ls"}, "--driver-namespace"},
		"a node plugin that is away":  {func(a *archives) { a.pods.Items[1].Status.Phase = corev1.PodPending }, []string{"ls"}, "node worker-2 was not asked"},
		"two of that name":            {func(a *archives) { a.pods.Items[1].Name = "node-c" }, []string{"purge", oldVolume}, "give --node or --pool"},
		"a cluster that has no nodes": {func(a *archives) { a.pods.Items = nil }, []string{"ls", "--node", "worker-7"}, `node "worker-7"`},
	} {
		t.Run(name, func(t *testing.T) {
			a := serveArchives(t)
			if c.change != nil {
				c.change(a)
			}
			out, err := a.run(append([]string{"archive"}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q; printed:\n%s", err, c.want, out)
			}
			if a.pv != nil || a.deleted != (a.refuse != "") {
				t.Errorf("a PersistentVolume: %v; the record was taken back: %v", a.pv != nil, a.deleted)
			}
		})
	}
	a := serveArchives(t)
	root := newCommands(&options{output: show.AsTable, exec: func(context.Context, string, []string) ([]byte, error) { return nil, errors.New("not allowed") }})
	root.SetArgs([]string{"archive", "ls", "--server", a.URL})
	root.SetOut(&bytes.Buffer{})
	if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "node worker-1: not allowed") {
		t.Errorf("a node that may not be asked: %v", err)
	}
}
