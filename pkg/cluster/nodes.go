package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Nodes knows which nodes are in the cluster, and which agents are at work. It learns
// of both by watching.
type Nodes struct {
	client *Client
	now    func() time.Time // for tests

	mu sync.Mutex
	// here are the Node objects, by name.
	here map[string]struct{}
	// beats are when each agent's Lease was last seen to change, by the clock of this
	// process.
	beats map[string]beat

	// left holds a token when a Node object has gone.
	left chan struct{}
}

type beat struct {
	renewed string // what the Lease says
	seen    time.Time
}

// WatchNodes returns once all Node objects and Leases of agents are known. It learns of
// changes until ctx ends.
func WatchNodes(ctx context.Context, client *Client) (*Nodes, error) {
	n := newNodes(client)
	_, nodesTaken, err := follow(ctx, client.Nodes, &corev1.Node{}, "", nil, n.node)
	if err != nil {
		return nil, err
	}
	_, leasesTaken, err := follow(ctx, client.Leases, &coordinationv1.Lease{}, "", nil, n.lease)
	if err != nil {
		return nil, err
	}
	if !cache.WaitForCacheSync(ctx.Done(), nodesTaken, leasesTaken) {
		return nil, state.Errorf(state.Unavailable, "reading all nodes and leases: %w", ctx.Err())
	}
	return n, nil
}

func newNodes(client *Client) *Nodes {
	return &Nodes{client: client, now: time.Now, here: make(map[string]struct{}), beats: make(map[string]beat), left: make(chan struct{}, 1)}
}

func (n *Nodes) node(node *corev1.Node, gone bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !gone {
		n.here[node.Name] = struct{}{}
		return
	}
	delete(n.here, node.Name)
	select {
	case n.left <- struct{}{}:
	default:
	}
}

func (n *Nodes) lease(lease *coordinationv1.Lease, gone bool) {
	name, ok := strings.CutPrefix(lease.Name, leasePrefix)
	if !ok {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if gone {
		delete(n.beats, name)
		return
	}
	var renewed string
	if t := lease.Spec.RenewTime; t != nil {
		renewed = t.UTC().Format(time.RFC3339Nano)
	}
	if n.beats[name].renewed != renewed {
		n.beats[name] = beat{renewed: renewed, seen: n.now()}
	}
}

// Away returns why nothing that is asked of a node's agent would be done now; nil if
// it would.
func (n *Nodes) Away(node string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.here[node]; !ok {
		return fmt.Errorf("node %s is not in the cluster", node)
	}
	last, ok := n.beats[node]
	if !ok {
		return fmt.Errorf("no agent has ever been at work on node %s: see whether the pod of hostpath-csi-node runs there", node)
	}
	if silent := n.now().Sub(last.seen); silent > patience {
		return fmt.Errorf("the agent of node %s is silent for %v: see whether the node and its pod of hostpath-csi-node run", node, silent.Round(time.Second))
	}
	return nil
}

// Gone tells whether a node was taken out of the cluster: it has no Node object, which
// the API server itself is asked about, and its agent is silent. A node that is merely
// down is not gone.
func (n *Nodes) Gone(ctx context.Context, node string) (bool, error) {
	n.mu.Lock()
	_, here := n.here[node]
	last, ok := n.beats[node]
	atWork := ok && n.now().Sub(last.seen) <= patience
	n.mu.Unlock()
	if here || atWork {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := n.client.Nodes.Get(ctx, node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("asking whether node %s is in the cluster: %w", node, err)
	}
	return false, nil
}

// forget removes the Lease of a node that is gone.
func (n *Nodes) forget(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := n.client.Leases.Delete(ctx, leasePrefix+node, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
