package cluster

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// callTimeout bounds each request.
const callTimeout = 10 * time.Second

// Heartbeat says that the agent of a node is at work, in a Lease of its own, until ctx
// ends. The Lease stays then: it goes stale. An API server that is away is tried again
// with the next beat.
func Heartbeat(ctx context.Context, client *Client, node string) {
	h := heartbeat{client: client, node: node}
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	failing := false
	for {
		err := h.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			klog.ErrorS(err, "The agent cannot say that it is at work; the controller gives it no new volumes while that lasts", "lease", leasePrefix+node)
		case err == nil && failing:
			klog.InfoS("The agent can say again that it is at work", "lease", leasePrefix+node)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type heartbeat struct {
	client *Client
	node   string
}

// beat renews the Lease, or makes it.
func (h *heartbeat) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	name := leasePrefix + h.node
	lease, err := h.client.Leases.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/name": "hostpath-csi", "app.kubernetes.io/component": "node"}}}
		h.renew(lease)
		_, err = h.client.Leases.Create(ctx, lease, metav1.CreateOptions{})
	} else if err == nil {
		h.renew(lease)
		_, err = h.client.Leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renewing the lease %s: %w", name, err)
	}
	return nil
}

func (h *heartbeat) renew(lease *coordinationv1.Lease) {
	now := metav1.NowMicro()
	seconds := int32(patience / time.Second)
	lease.Spec.HolderIdentity = &h.node
	lease.Spec.LeaseDurationSeconds = &seconds
	lease.Spec.RenewTime = &now
}
