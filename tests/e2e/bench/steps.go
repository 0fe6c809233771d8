package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
)

const (
	traceTimeout = 10 * time.Second
	pollInterval = 200 * time.Millisecond
	endTimeout   = 3 * time.Minute
)

// create makes the claims, and pods if they wait for those, and waits until all claims are bound.
// A claim that waits is timed from its pod on.
func (r *round) create(ctx context.Context) (*stopwatch, error) {
	claims := r.kube.CoreV1().PersistentVolumeClaims(r.ns)
	changes, err := changesOf(ctx, claims)
	if err != nil {
		return nil, err
	}
	defer changes.Stop()
	times := newStopwatch()
	waits := r.binding.mode == storagev1.VolumeBindingWaitForFirstConsumer
	if waits {
		if err := r.followPods(ctx); err != nil {
			return nil, err
		}
	}
	if err := meanwhile(ctx, changes, times, r.n, isBound, func(ctx context.Context) error {
		if err := atOnce(ctx, r.n, func(ctx context.Context, i int) error {
			if !waits {
				times.start(claimName(i))
			}
			_, err := claims.Create(ctx, newClaim(i, r.binding.class), metav1.CreateOptions{})
			return err
		}); err != nil || !waits {
			return err
		}
		return r.createPods(ctx, times)
	}); err != nil {
		return nil, fmt.Errorf("claims that are bound: %w", err)
	}
	return times, r.name(ctx, times)
}

// followPods begins to wait for pods that use all claims; createPods makes them.
func (r *round) followPods(ctx context.Context) error {
	changes, err := changesOf(ctx, r.kube.CoreV1().Pods(r.ns))
	if err != nil {
		return err
	}
	r.result.Pods, r.pods, r.podsReady = len(shares(r.n)), newStopwatch(), make(chan error, 1)
	go func() {
		defer changes.Stop()
		r.podsReady <- follow(ctx, changes, r.pods, r.result.Pods, isReady)
	}()
	return nil
}

func (r *round) createPods(ctx context.Context, claims *stopwatch) error {
	shares := shares(r.n)
	return atOnce(ctx, len(shares), func(ctx context.Context, i int) error {
		for _, claim := range shares[i] {
			claims.start(claim)
		}
		r.pods.start(podName(i))
		_, err := r.kube.CoreV1().Pods(r.ns).Create(ctx, newPod(i, shares[i]), metav1.CreateOptions{})
		return err
	})
}

// name learns which volume each claim has.
func (r *round) name(ctx context.Context, times *stopwatch) error {
	list, err := r.kube.CoreV1().PersistentVolumeClaims(r.ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range list.Items {
		r.claims = append(r.claims, audit.Claim{Namespace: r.ns, Name: c.Name, Volume: c.Spec.VolumeName, From: times.from[c.Name]})
	}
	return nil
}

// ready waits until all pods are.
func (r *round) ready(ctx context.Context) error {
	if r.pods == nil {
		return nil
	}
	if err := <-r.podsReady; err != nil {
		return fmt.Errorf("pods that are ready: %w", err)
	}
	_, all := r.pods.times()
	r.result.PodsReady = all.Seconds()
	return nil
}

// endPods deletes the pods and waits for their end: then the claims are not used.
func (r *round) endPods(ctx context.Context) error {
	if r.pods == nil {
		return nil
	}
	pods := r.kube.CoreV1().Pods(r.ns)
	changes, err := changesOf(ctx, pods)
	if err != nil {
		return err
	}
	defer changes.Stop()
	return meanwhile(ctx, changes, newStopwatch(), r.result.Pods, isGone, func(ctx context.Context) error {
		return atOnce(ctx, r.result.Pods, func(ctx context.Context, i int) error {
			return pods.Delete(ctx, podName(i), metav1.DeleteOptions{})
		})
	})
}

// delete deletes the claims, and waits until of each both PersistentVolume and record are gone.
func (r *round) delete(ctx context.Context) (*stopwatch, error) {
	claims := r.kube.CoreV1().PersistentVolumeClaims(r.ns)
	pvChanges, err := changesOf(ctx, r.kube.CoreV1().PersistentVolumes())
	if err != nil {
		return nil, err
	}
	defer pvChanges.Stop()
	recordChanges, err := changesOf(ctx, r.objects.Resource(records))
	if err != nil {
		return nil, err
	}
	defer recordChanges.Stop()
	pvs, gone := newStopwatch(), newStopwatch()
	err = meanwhile(ctx, recordChanges, gone, r.n, isGone, func(ctx context.Context) error {
		return meanwhile(ctx, pvChanges, pvs, r.n, isGone, func(ctx context.Context) error {
			return atOnce(ctx, r.n, func(ctx context.Context, i int) error {
				r.claims[i].From = time.Now()
				pvs.start(r.claims[i].Volume)
				return claims.Delete(ctx, r.claims[i].Name, metav1.DeleteOptions{})
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("volumes that are gone: %w", err)
	}
	pvs.later(gone)
	return pvs, nil
}

// end deletes the namespace and waits until it is gone.
func (r *round) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	namespaces := r.kube.CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, r.ns, metav1.DeleteOptions{}); err != nil {
		return err
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		_, err := namespaces.Get(ctx, r.ns, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("namespace %s is still there: %w", r.ns, errors.Join(err, ctx.Err()))
		}
	}
}
