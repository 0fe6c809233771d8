package cluster

import (
	"context"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/fake"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
)

const namespace = "hostpath-csi"

// soon ends before the test does.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until holds does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if err := wait.PollUntilContextCancel(soon(t), time.Millisecond, true, func(context.Context) (bool, error) { return holds(), nil }); err != nil {
		t.Fatalf("%s: never", what)
	}
}

func node(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": "ssd"}}}
}

// of has the clients of a fake cluster.
func of(client *fake.Clientset) *Client {
	return &Client{
		Nodes:             byList[*corev1.Node, *corev1.NodeList]{client.CoreV1().Nodes()},
		Leases:            byList[*coordinationv1.Lease, *coordinationv1.LeaseList]{client.CoordinationV1().Leases(namespace)},
		PersistentVolumes: byList[*corev1.PersistentVolume, *corev1.PersistentVolumeList]{client.CoreV1().PersistentVolumes()},
		Namespace:         namespace,
		ConfigMaps:        client.CoreV1().ConfigMaps(namespace),
		Events:            &typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")},
	}
}

// byList says that objects are not listed by watching, which a fake cluster cannot do.
type byList[O, L runtime.Object] struct{ Resource[O, L] }

func (byList[O, L]) IsWatchListSemanticsUnSupported() bool { return true }

// beatOnce has an agent say that it is at work.
func beatOnce(t *testing.T, client *fake.Clientset, name string) {
	t.Helper()
	h := heartbeat{client: of(client), node: name}
	if err := h.beat(soon(t)); err != nil {
		t.Fatal(err)
	}
}

// later has n believe that time has passed.
func later(n *Nodes, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = func() time.Time { return time.Now().Add(d) }
}

func TestAnAgentIsAwayWhenItsLeaseIsNotRenewed(t *testing.T) {
	client := fake.NewClientset(node("n1"), node("n2"))
	beatOnce(t, client, "n1")
	n, err := WatchNodes(soon(t), of(client))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Away("n1"); err != nil {
		t.Errorf("n1, which has a lease: %v", err)
	}
	if n.Away("n2") == nil {
		t.Error("n2, whose agent never had a lease, is not away")
	}
	if n.Away("n3") == nil {
		t.Error("n3, which is no node, is not away")
	}
	later(n, patience+time.Second)
	if n.Away("n1") == nil {
		t.Error("n1 is silent for longer than the patience, and not away")
	}
	beatOnce(t, client, "n1")
	eventually(t, "n1 is there again after a renewal", func() bool { return n.Away("n1") == nil })
}

func TestANodeIsGoneOnlyWithoutItsObjectAndSilent(t *testing.T) {
	client := fake.NewClientset(node("n1"), node("n2"))
	beatOnce(t, client, "n1")
	beatOnce(t, client, "n2")
	n, err := WatchNodes(soon(t), of(client))
	if err != nil {
		t.Fatal(err)
	}
	gone := func(name string) bool {
		is, err := n.Gone(soon(t), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return is
	}
	later(n, patience+time.Second)
	if gone("n1") {
		t.Error("n1 is gone, though it is merely silent")
	}
	later(n, 0)
	if err := client.CoreV1().Nodes().Delete(soon(t), "n2", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of n2 is known", func() bool { return n.Away("n2") != nil })
	select {
	case <-n.left:
	case <-soon(t).Done():
		t.Error("nobody was told that a node left")
	}
	if gone("n2") {
		t.Error("n2 is gone while its agent is at work")
	}
	later(n, patience+time.Second)
	if !gone("n2") {
		t.Error("n2 has no object and is silent, and is not gone")
	}

	refusal := apierrors.NewServiceUnavailable("away")
	client.PrependReactor("get", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refusal })
	if is, err := n.Gone(soon(t), "n2"); is || err == nil {
		t.Errorf("without an answer of the API server: gone %v, error %v; want an error", is, err)
	}
}

func TestLabelsFollowTheNode(t *testing.T) {
	client := fake.NewClientset(node("n1"))
	l, err := WatchLabels(soon(t), of(client), "n1")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Now()["disk"]; got != "ssd" {
		t.Errorf("the label disk is %q, want ssd", got)
	}
	<-l.Changed // of the first
	changed := node("n1")
	changed.Labels["disk"] = "hdd"
	if _, err := client.CoreV1().Nodes().Update(soon(t), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-l.Changed:
	case <-soon(t).Done():
		t.Fatal("a change is not told")
	}
	if got := l.Now()["disk"]; got != "hdd" {
		t.Errorf("the label disk is %q, want hdd", got)
	}
}

func TestHeartbeatGoesOnAfterAFailure(t *testing.T) {
	client := fake.NewClientset()
	h := heartbeat{client: of(client), node: "n1"}
	refuse := true
	client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return refuse, nil, apierrors.NewServiceUnavailable("away")
	})
	if h.beat(soon(t)) == nil {
		t.Error("a beat that the API server refused is told to be one")
	}
	refuse = false
	var renewed []string
	for range 2 {
		if err := h.beat(soon(t)); err != nil {
			t.Fatal(err)
		}
		lease, err := client.CoordinationV1().Leases(namespace).Get(soon(t), "hostpath-csi-node-n1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		renewed = append(renewed, lease.Spec.RenewTime.String())
	}
	if renewed[0] == renewed[1] {
		t.Errorf("two beats left the same time, %s", renewed[0])
	}
}
