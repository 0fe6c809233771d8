package cluster

import (
	"context"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/tools/cache"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Labels are those of one Node object, as they are now.
type Labels struct {
	// Changed holds a token when they have changed.
	Changed chan struct{}

	mu  sync.Mutex
	now map[string]string
}

// WatchLabels returns once the labels of a node are known. It learns of changes until
// ctx ends. While there is no such node, it has the labels it had last.
func WatchLabels(ctx context.Context, client *Client, node string) (*Labels, error) {
	l := &Labels{Changed: make(chan struct{}, 1)}
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, node).String()
	_, taken, err := follow(ctx, client.Nodes, &corev1.Node{}, selector, nil, func(node *corev1.Node, gone bool) {
		if !gone {
			l.take(node)
		}
	})
	if err != nil {
		return nil, err
	}
	if !cache.WaitForCacheSync(ctx.Done(), taken) {
		return nil, state.Errorf(state.Unavailable, "reading the labels of node %s: %w", node, ctx.Err())
	}
	return l, nil
}

func (l *Labels) take(node *corev1.Node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if maps.Equal(l.now, node.Labels) {
		return
	}
	l.now = maps.Clone(node.Labels)
	select {
	case l.Changed <- struct{}{}:
	default:
	}
}

// Now returns the labels as they are.
func (l *Labels) Now() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.now)
}
