//go:build kubestore

package deploy

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/hostpath-csi/hostpath-csi/pkg/cluster"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube"
)

// The accounts of the two roles, as their pods use them.
const (
	controllerAccount = "hostpath-csi-controller"
	nodeAccount       = "hostpath-csi-node"
)

var (
	volumes   = schema.GroupVersionResource{Group: "hostpath-csi.dev", Version: "v1alpha1", Resource: "hostpathvolumes"}
	snapshots = volumes.GroupVersion().WithResource("hostpathsnapshots")
	nodes     = volumes.GroupVersion().WithResource("hostpathnodes")
	leases    = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// open returns the store as a role has it, with its account.
func open(t *testing.T, account, node string) *kube.Store {
	t.Helper()
	store, err := kube.Open(t.Context(), as(account, node), kube.Options{Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// declare creates a volume and a snapshot of it, as the controller does, for the time
// of a test.
func declare(t *testing.T, id, node string) (volume state.Volume, snapshot state.Snapshot) {
	t.Helper()
	store := open(t, controllerAccount, "")
	volume, err := store.Volumes().Create(t.Context(), id,
		state.VolumeSpec{Name: id, Node: node, Pool: "default", CapacityBytes: 1 << 20, AccessType: state.MountAccess, Mode: 0o777})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err = store.Snapshots().Create(t.Context(), id,
		state.SnapshotSpec{Name: id, Node: node, Pool: "default", Volume: id, VolumeUID: volume.UID, AccessType: state.MountAccess})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := store.Volumes().Finalize(ctx, id, volume.UID); err != nil && state.ReasonOf(err) != state.NotFound {
			t.Error(err)
		}
		if err := store.Snapshots().Finalize(ctx, id, snapshot.UID); err != nil && state.ReasonOf(err) != state.NotFound {
			t.Error(err)
		}
	})
	return volume, snapshot
}

// inline returns the name of the record of an ephemeral volume.
func inline(digit string) string { return "inline-" + strings.Repeat(digit, 40) }

// declareEphemeral creates the volume of a pod, as the node plugin does, for the time of a test.
func declareEphemeral(t *testing.T, agent *kube.Store, id, node string) state.Volume {
	t.Helper()
	volume, err := agent.Volumes().Create(t.Context(), id, state.VolumeSpec{Name: "csi-1", Node: node, Pool: "default", CapacityBytes: 1 << 20,
		AccessType: state.MountAccess, Mode: 0o777, Ephemeral: &state.Ephemeral{Pod: state.Pod{Namespace: "shop", Name: "p", UID: "u"}, Target: "/t"}})
	if err != nil {
		t.Fatalf("an agent makes the volume of a pod: %v", err)
	}
	controller := open(t, controllerAccount, "")
	t.Cleanup(func() {
		if err := controller.Volumes().Finalize(context.Background(), id, volume.UID); err != nil && state.ReasonOf(err) != state.NotFound {
			t.Error(err)
		}
	})
	return volume
}

// Every write of the two roles goes through, with the roles and the policy in force.
func TestTheRolesMayDoTheirWork(t *testing.T) {
	awaitPolicy(t)
	ctx := t.Context()
	controller, agent := open(t, controllerAccount, ""), open(t, nodeAccount, "n1")
	volume, snapshot := declare(t, "work", "n1")

	if _, err := agent.Nodes().Create(ctx, "n1", state.NodeSpec{}); err != nil {
		t.Errorf("an agent makes the record of its node: %v", err)
	}
	if _, err := agent.Nodes().UpdateSpec(ctx, "n1", func(s *state.NodeSpec) error { s.Pools = map[string]string{"default": "a"}; return nil }); err != nil {
		t.Errorf("an agent takes a pool into use: %v", err)
	}
	if _, err := agent.Nodes().UpdateStatus(ctx, "n1", func(s *state.NodeStatus) error { s.Pools = []state.PoolStatus{{Name: "default"}}; return nil }); err != nil {
		t.Errorf("an agent tells of its pools: %v", err)
	}
	if _, err := agent.Volumes().UpdateStatus(ctx, "work", func(s *state.VolumeStatus) error { s.Phase = state.Ready; return nil }); err != nil {
		t.Errorf("an agent tells of a volume: %v", err)
	}
	if _, err := agent.Snapshots().UpdateStatus(ctx, "work", func(s *state.SnapshotStatus) error { s.Phase = state.Ready; return nil }); err != nil {
		t.Errorf("an agent tells of a snapshot: %v", err)
	}
	if _, err := controller.Volumes().UpdateSpec(ctx, "work", func(s *state.VolumeSpec) error { s.CapacityBytes *= 2; return nil }); err != nil {
		t.Errorf("the controller expands a volume: %v", err)
	}
	if err := controller.Volumes().Delete(ctx, "work"); err != nil {
		t.Errorf("the controller deletes a volume: %v", err)
	}
	if err := controller.Volumes().Keep(ctx, "work", volume.UID); err != nil {
		t.Errorf("the controller keeps a volume: %v", err)
	}
	if err := controller.Volumes().Delete(ctx, "work"); err != nil {
		t.Errorf("the controller deletes a volume: %v", err)
	}
	if err := call(t, client(t, ""), snapshots, "work", "", "delete", ""); err != nil {
		t.Errorf("a person deletes a snapshot: %v", err)
	}
	if err := agent.Volumes().Finalize(ctx, "work", volume.UID); err != nil {
		t.Errorf("an agent ends the record of a volume: %v", err)
	}
	if err := agent.Snapshots().Finalize(ctx, "work", snapshot.UID); err != nil {
		t.Errorf("an agent ends the record of a snapshot: %v", err)
	}
	scratch := declareEphemeral(t, agent, inline("4"), "n1")
	if err := agent.Volumes().Delete(ctx, scratch.ID); err != nil {
		t.Errorf("an agent asks for the end of a pod's volume: %v", err)
	}
	if err := agent.Volumes().Keep(ctx, scratch.ID, scratch.UID); err != nil {
		t.Errorf("an agent takes that back: %v", err)
	}
	if err := agent.Volumes().Delete(ctx, scratch.ID); err != nil {
		t.Errorf("an agent asks for it again: %v", err)
	}
	if err := agent.Volumes().Finalize(ctx, scratch.ID, scratch.UID); err != nil {
		t.Errorf("an agent ends the record of a pod's volume: %v", err)
	}
	if err := agent.Healthy(ctx); err != nil {
		t.Errorf("an agent asks whether the API server is ready: %v", err)
	}
	beat(t, "n1")
	node, err := controller.Nodes().Get(ctx, "n1")
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.Nodes().Finalize(ctx, "n1", node.UID); err != nil {
		t.Errorf("the controller ends the record of a node that is gone: %v", err)
	}
	client, err := kubernetes.NewForConfig(as(controllerAccount, ""))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.CoordinationV1().Leases(namespace).Delete(ctx, "hostpath-csi-node-n1", metav1.DeleteOptions{}); err != nil {
		t.Errorf("the controller removes the lease of a node that is gone: %v", err)
	}
}

// beat makes the lease of a node, and renews it.
func beat(t *testing.T, node string) {
	t.Helper()
	client, err := kubernetes.NewForConfig(as(nodeAccount, node))
	if err != nil {
		t.Fatal(err)
	}
	own := client.CoordinationV1().Leases(namespace)
	reach, err := cluster.NewClient(as(nodeAccount, node), namespace)
	if err != nil {
		t.Fatal(err)
	}
	var before string
	for range 2 { // the first makes it
		var lease *coordinationv1.Lease
		ctx, cancel := context.WithCancel(t.Context())
		var agent sync.WaitGroup
		agent.Go(func() { cluster.Heartbeat(ctx, reach, node) })
		err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			lease, err = own.Get(ctx, "hostpath-csi-node-"+node, metav1.GetOptions{})
			return err == nil && lease.ResourceVersion != before, nil
		})
		cancel()
		agent.Wait()
		if err != nil {
			t.Fatalf("an agent makes and renews its lease: %v", err)
		}
		before = lease.ResourceVersion
	}
}

// What the roles see of the cluster beside the records.
func TestTheRolesSeeTheCluster(t *testing.T) {
	awaitPolicy(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tester, err := kubernetes.NewForConfig(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n4", Labels: map[string]string{"disk": "ssd"}}}
	if _, err := tester.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	agent, err := cluster.NewClient(as(nodeAccount, "n4"), namespace)
	if err != nil {
		t.Fatal(err)
	}
	labels, err := cluster.WatchLabels(ctx, agent, "n4")
	if err != nil || labels.Now()["disk"] != "ssd" {
		t.Errorf("an agent reads the labels of its node: %v, %v", labels, err)
	}
	beat(t, "n4")
	controller, err := cluster.NewClient(as(controllerAccount, ""), namespace)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := cluster.WatchNodes(ctx, controller)
	if err != nil {
		t.Fatalf("the controller sees nodes and leases: %v", err)
	}
	if err := seen.Away("n4"); err != nil {
		t.Errorf("an agent at work: %v", err)
	}
}

// What a stolen token of node n2 cannot do.
func TestANodesTokenReachesNoOtherNode(t *testing.T) {
	awaitPolicy(t)
	declare(t, "theirs", "n1")
	declare(t, "ours", "n2")
	other, agent := open(t, nodeAccount, "n1"), open(t, nodeAccount, "n2")
	for node, store := range map[string]*kube.Store{"n1": other, "n2": agent} {
		record, err := store.Nodes().Create(t.Context(), node, state.NodeSpec{})
		if err != nil {
			t.Fatal(err)
		}
		controller := open(t, controllerAccount, "")
		t.Cleanup(func() {
			if err := controller.Nodes().Finalize(context.Background(), node, record.UID); err != nil {
				t.Error(err)
			}
		})
	}
	beat(t, "n1")
	lease, err := client(t, "").Resource(leases).Namespace(namespace).Get(t.Context(), "hostpath-csi-node-n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	theirLease := `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"hostpath-csi-node-n1","resourceVersion":"` + lease.GetResourceVersion() + `"},"spec":{"holderIdentity":"n2"}}`
	t.Cleanup(func() {
		if err := call(t, client(t, ""), leases, "hostpath-csi-node-n1", "", "delete", ""); err != nil {
			t.Error(err)
		}
	})

	declareEphemeral(t, agent, inline("2"), "n2")
	declareEphemeral(t, other, inline("3"), "n1")

	const foreign, ours, ephemeralOnly = "it belongs to another node than n2", "only the status of a record", "the records of ephemeral volumes only"
	const unasked, bare = "nobody has asked for the end of this record", "without labels, annotations, owners"
	const owned = `"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n2","uid":"1"}]`
	const aPods = `,"ephemeral":{"podName":"p","target":"/t"}`
	volumeOf := func(name, node, more string) string {
		return `{"apiVersion":"hostpath-csi.dev/v1alpha1","kind":"HostPathVolume","metadata":{"name":"` + name + `"},"spec":{"name":"` + name +
			`","node":"` + node + `","pool":"p","capacityBytes":1,"accessType":"Mount","mode":1` + more + `}}`
	}
	snapshotOf := func(name, node string) string {
		return `{"apiVersion":"hostpath-csi.dev/v1alpha1","kind":"HostPathSnapshot","metadata":{"name":"` + name + `"},"spec":{"name":"` + name +
			`","node":"` + node + `","pool":"p","volume":"ours","volumeUID":"u","accessType":"Mount"}}`
	}
	for _, c := range []struct {
		doing    string
		resource schema.GroupVersionResource
		name     string
		sub      string
		verb     string
		body     string
		because  string
	}{
		{"the status of another's volume", volumes, "theirs", "status", "patch", `{"status":{"phase":"Failed"}}`, foreign},
		{"the finalizer of another's volume", volumes, "theirs", "", "patch", `{"metadata":{"finalizers":null}}`, foreign},
		{"another's volume", volumes, "theirs", "", "delete", "", foreign},
		{"the status of another's snapshot", snapshots, "theirs", "status", "patch", `{"status":{"phase":"Failed"}}`, foreign},
		{"the finalizer of another's snapshot", snapshots, "theirs", "", "patch", `{"metadata":{"finalizers":null}}`, foreign},
		{"another's snapshot", snapshots, "theirs", "", "delete", "", foreign},
		{"the spec of its own volume", volumes, "ours", "", "patch", `{"spec":{"capacityBytes":9999999}}`, ours},
		{"the end of its own volume, unasked for", volumes, "ours", "", "patch", `{"spec":{"deletedAt":"2026-01-01T00:00:00Z"}}`, ours},
		{"the labels of its own volume", volumes, "ours", "", "patch", `{"metadata":{"labels":{"a":"b"}}}`, ours},
		{"the annotations of its own snapshot", snapshots, "ours", "", "patch", `{"metadata":{"annotations":{"a":"b"}}}`, ours},
		{"its own volume, whose end nobody asked for,", volumes, "ours", "", "delete", "", unasked},
		{"the finalizer of its own volume, whose end nobody asked for,", volumes, "ours", "", "patch", `{"metadata":{"finalizers":null}}`, unasked},
		{"its own snapshot, whose end nobody asked for,", snapshots, "ours", "", "delete", "", unasked},
		{"the finalizer of its own snapshot, whose end nobody asked for,", snapshots, "ours", "", "patch", `{"metadata":{"finalizers":null}}`, unasked},
		{"a finalizer of others on its own volume", volumes, "ours", "", "patch", `{"metadata":{"finalizers":["hostpath-csi.dev/agent","example.com/mine"]}}`, ours},
		{"an owner of its own volume", volumes, "ours", "", "patch", `{"metadata":{` + owned + `}}`, ours},
		{"a new volume", volumes, "new", "", "create", volumeOf("new", "n2", ""), ephemeralOnly},
		{"a volume with the name of an ephemeral one", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n2", ""), ephemeralOnly},
		{"an ephemeral volume with the name of another's claim", volumes, "pvc-1", "", "create", volumeOf("pvc-1", "n2", aPods), ephemeralOnly},
		{"an ephemeral volume with a name that only begins well", volumes, inline("1") + "0", "", "create", volumeOf(inline("1")+"0", "n2", aPods), ephemeralOnly},
		{"an ephemeral volume on another node", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n1", aPods), foreign},
		{"an ephemeral copy of what is in a snapshot", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n2", aPods+`,"source":{"kind":"Snapshot","id":"theirs"}`), ephemeralOnly},
		{"an ephemeral volume for a claim", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n2", aPods+`,"claim":{"name":"data","namespace":"shop"}`), ephemeralOnly},
		{"an ephemeral volume of what lies in a pool", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n2", aPods+`,"adopt":"volumes/ours"`), ephemeralOnly},
		{"an ephemeral volume in a place of its choice", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n2", aPods+`,"path":"shop/data"`), ephemeralOnly},
		{"an ephemeral volume to be emptied", volumes, inline("1"), "", "create", volumeOf(inline("1"), "n2", aPods+`,"emptyFor":"u"`), ephemeralOnly},
		{"an ephemeral volume with an owner", volumes, inline("1"), "", "create", strings.Replace(volumeOf(inline("1"), "n2", aPods), `"metadata":{`, `"metadata":{`+owned+`,`, 1), bare},
		{"an ephemeral volume with a finalizer of others", volumes, inline("1"), "", "create", strings.Replace(volumeOf(inline("1"), "n2", aPods), `"metadata":{`, `"metadata":{"finalizers":["example.com/mine"],`, 1), bare},
		{"a new volume", volumes, "new", "", "apply", volumeOf("new", "n2", ""), ephemeralOnly},
		{"another's volume", volumes, "theirs", "", "apply", strings.Replace(volumeOf("theirs", "n1", ""), `"pool":"p"`, `"pool":"default"`, 1), foreign},
		{"a new snapshot", snapshots, "new", "", "apply", snapshotOf("new", "n2"), "cannot create"},
		{"a new snapshot", snapshots, "new", "", "create", snapshotOf("new", "n2"), "cannot create"},
		{"the size of its own ephemeral volume", volumes, inline("2"), "", "patch", `{"spec":{"capacityBytes":9999999}}`, ours},
		{"the end of another's ephemeral volume", volumes, inline("3"), "", "patch", `{"spec":{"deletedAt":"2026-01-01T00:00:00Z"}}`, foreign},
		{"another's ephemeral volume", volumes, inline("3"), "", "delete", "", foreign},
		{"the pools of another node", nodes, "n1", "", "patch", `{"spec":{"pools":{"default":"b"}}}`, foreign},
		{"the status of another node", nodes, "n1", "status", "patch", `{"status":{"pools":null}}`, foreign},
		{"the owner of its own node", nodes, "n2", "", "patch", `{"metadata":{` + owned + `}}`, ours},
		{"the labels of its own node", nodes, "n2", "", "patch", `{"metadata":{"labels":{"a":"b"}}}`, ours},
		{"a finalizer of others on its own node", nodes, "n2", "", "patch", `{"metadata":{"finalizers":["hostpath-csi.dev/agent","example.com/mine"]}}`, ours},
		{"the finalizer of its own node", nodes, "n2", "", "patch", `{"metadata":{"finalizers":null}}`, unasked},
		{"its own node", nodes, "n2", "", "delete", "", "cannot delete"},
		{"the record of a node that is not it", nodes, "n3", "", "create", `{"apiVersion":"hostpath-csi.dev/v1alpha1","kind":"HostPathNode","metadata":{"name":"n3"},"spec":{"node":"n3"}}`, foreign},
		{"its record under the name of another", nodes, "n3", "", "create", `{"apiVersion":"hostpath-csi.dev/v1alpha1","kind":"HostPathNode","metadata":{"name":"n3"},"spec":{"node":"n2"}}`, "it has the name of another node than n2"},
		{"its record under a hash that it does not need", nodes, "hp-0", "", "create", `{"apiVersion":"hostpath-csi.dev/v1alpha1","kind":"HostPathNode","metadata":{"name":"hp-0"},"spec":{"node":"n2"}}`, "it has the name of another node than n2"},
		{"the lease of another", leases, "hostpath-csi-node-n1", "", "update", theirLease, "the only lease of this node plugin is hostpath-csi-node-n2"},
		{"the lease of a node to come", leases, "hostpath-csi-node-n3", "", "create", `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"hostpath-csi-node-n3"}}`, "the only lease of this node plugin is hostpath-csi-node-n2"},
		{"the lease of a sidecar's leader", leases, "external-resizer", "", "create", `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"external-resizer"}}`, "the only lease of this node plugin is hostpath-csi-node-n2"},
	} {
		err := call(t, client(t, "n2"), c.resource, c.name, c.sub, c.verb, c.body)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), c.because) {
			t.Errorf("%s %s: %v; it is to be forbidden: %s", c.verb, c.doing, err, c.because)
		}
	}
	// What nobody can, whose volume it ever is.
	for name, change := range map[string]string{"ours": `{"spec":{"ephemeral":{"target":"/"}}}`, inline("2"): `{"spec":{"ephemeral":{"podName":"other"}}}`} {
		err := call(t, client(t, "n2"), volumes, name, "", "patch", change)
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "for all its life") {
			t.Errorf("volume %s given to a pod: %v", name, err)
		}
	}
}

// A token that was not made for a pod says nothing of a node.
func TestATokenOfNoNodeIsNoGood(t *testing.T) {
	awaitPolicy(t)
	declare(t, "some", "n1")
	nobody, err := dynamic.NewForConfig(as(nodeAccount, ""))
	if err != nil {
		t.Fatal(err)
	}
	err = call(t, nobody, volumes, "some", "status", "patch", `{"status":{"phase":"Ready"}}`)
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "does not say which node") {
		t.Errorf("got %v", err)
	}
}

// The controller writes no status: RBAC sees to that.
func TestTheControllerTellsNothing(t *testing.T) {
	declare(t, "untold", "n1")
	controller, err := dynamic.NewForConfig(as(controllerAccount, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, resource := range []schema.GroupVersionResource{volumes, snapshots} {
		if err := call(t, controller, resource, "untold", "status", "patch", `{"status":{"phase":"Ready"}}`); !apierrors.IsForbidden(err) {
			t.Errorf("the status of %s: %v", resource.Resource, err)
		}
	}
}

// client returns one with the token of a node's plugin; "" for the tester's own.
func client(t *testing.T, node string) dynamic.Interface {
	t.Helper()
	config := server.Config()
	if node != "" {
		config = as(nodeAccount, node)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicClient
}

// call makes one request.
func call(t *testing.T, client dynamic.Interface, resource schema.GroupVersionResource, name, sub, verb, body string) (err error) {
	t.Helper()
	var subs []string
	if sub != "" {
		subs = []string{sub}
	}
	var at dynamic.ResourceInterface = client.Resource(resource)
	if resource == leases {
		at = client.Resource(resource).Namespace(namespace)
	}
	ctx := context.WithoutCancel(t.Context())
	switch verb {
	case "patch":
		_, err = at.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, subs...)
	case "delete":
		err = at.Delete(ctx, name, metav1.DeleteOptions{}, subs...)
	case "create", "update":
		var o unstructured.Unstructured
		if err := o.UnmarshalJSON([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if verb == "create" {
			_, err = at.Create(ctx, &o, metav1.CreateOptions{}, subs...)
		} else {
			_, err = at.Update(ctx, &o, metav1.UpdateOptions{}, subs...)
		}
	case "apply":
		force := true
		_, err = at.Patch(ctx, name, types.ApplyPatchType, []byte(body), metav1.PatchOptions{FieldManager: "tester", Force: &force}, subs...)
	default:
		t.Fatalf("%q is no verb", verb)
	}
	return err
}

// awaitPolicy waits until the API server has the policy in force, which it learns of by
// a watch of its own.
func awaitPolicy(t *testing.T) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		last = call(t, client(t, "n2"), leases, "hostpath-csi-node-nobodys", "", "create",
			`{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"hostpath-csi-node-nobodys"}}`)
		if last == nil {
			last = call(t, client(t, ""), leases, "hostpath-csi-node-nobodys", "", "delete", "")
			return false, last
		}
		return apierrors.IsForbidden(last) && strings.Contains(last.Error(), "the only lease of this node plugin"), nil
	})
	if err != nil {
		t.Fatalf("the policy is not in force: %v; the last answer was %v", err, last)
	}
}
