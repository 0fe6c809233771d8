package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/prom"
	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/report"
)

// round is one case while it runs.
type round struct {
	*cluster
	ns        string
	n         int
	binding   binding
	claims    []audit.Claim
	pods      *stopwatch // nil: there are none
	podsReady chan error // has its answer when all are, or never will be
	result    report.Case
}

// measure makes n claims at once and deletes them at once, in a namespace of their own.
func measure(ctx context.Context, c *cluster, n int, b binding, timeout time.Duration) (_ report.Case, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than %v", timeout))
	defer cancel()
	ns, err := c.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return report.Case{}, err
	}
	r := &round{cluster: c, ns: ns.Name, n: n, binding: b, result: report.Case{Binding: string(b.mode), Claims: n}}
	// The next case begins when nothing of this one is left.
	defer func() { err = errors.Join(err, r.end(context.WithoutCancel(ctx))) }()
	if r.result.Create, err = r.phase(ctx, creation, r.create); err != nil {
		return report.Case{}, fmt.Errorf("create: %w", err)
	}
	if err := r.ready(ctx); err != nil {
		return report.Case{}, err
	}
	now, err := r.sample(ctx)
	if err != nil {
		return report.Case{}, err
	}
	r.result.Memory = now.memory()
	if err := r.endPods(ctx); err != nil {
		return report.Case{}, fmt.Errorf("the end of pods: %w", err)
	}
	if r.result.Delete, err = r.phase(ctx, deletion, r.delete); err != nil {
		return report.Case{}, fmt.Errorf("delete: %w", err)
	}
	return r.result, nil
}

// half is what tells creation and deletion apart: where they are counted.
type half struct {
	method      string // of CSI
	queue, work string // of the sidecar: a queue's name, and a histogram of what its workers do
	ways        map[storagev1.VolumeBindingMode]audit.Way
}

var (
	creation = half{
		method: "/csi.v1.Controller/CreateVolume", queue: "claims", work: "controller_persistentvolumeclaim_provision_duration_seconds",
		ways: map[storagev1.VolumeBindingMode]audit.Way{storagev1.VolumeBindingImmediate: audit.Immediate, storagev1.VolumeBindingWaitForFirstConsumer: audit.Waiting},
	}
	deletion = half{
		method: "/csi.v1.Controller/DeleteVolume", queue: "volumes", work: "controller_persistentvolume_delete_duration_seconds",
		ways: map[storagev1.VolumeBindingMode]audit.Way{storagev1.VolumeBindingImmediate: audit.Deletion, storagev1.VolumeBindingWaitForFirstConsumer: audit.Deletion},
	}
)

// phase measures what do does; do returns when each claim began and ended, by the names of
// its claims or their volumes.
func (r *round) phase(ctx context.Context, h half, do func(context.Context) (*stopwatch, error)) (p report.Phase, err error) {
	before, err := r.sample(ctx)
	if err != nil {
		return p, err
	}
	if r.log != nil {
		if _, err := r.log.Next(); err != nil { // what was before
			return p, err
		}
	}
	coresBefore, err := lookAtCores()
	if err != nil {
		return p, err
	}
	times, err := do(ctx)
	if err != nil {
		return p, err
	}
	cores, err := lookAtCores()
	if err != nil {
		return p, err
	}
	now, err := r.sample(ctx)
	if err != nil {
		return p, err
	}
	p.Busy = cores.busySince(coresBefore)
	each, all := times.times()
	p.Claim, p.Seconds = report.Of(each), all.Seconds()
	p.Driver = report.OfHistogram(now.histogram(before, audit.Controller, "hostpath_csi_rpc_duration_seconds", prom.Labels{"method": h.method}))
	p.Call = report.OfHistogram(now.histogram(before, audit.Provisioner, "csi_sidecar_operations_seconds", prom.Labels{"method_name": h.method}))
	p.Queue = report.OfHistogram(now.histogram(before, audit.Provisioner, "workqueue_queue_duration_seconds", prom.Labels{"name": h.queue}))
	p.Work = report.OfHistogram(now.histogram(before, audit.Provisioner, h.work, nil))
	p.ManagerWaits = now.histogram(before, audit.ControllerManager, "rest_client_rate_limiter_duration_seconds", nil).Sum / float64(r.n)
	p.CPU = now.cpu(before)
	if p.Traced = r.log != nil; !p.Traced {
		return p, nil
	}
	if err := r.trace(ctx, h.ways[r.binding.mode], &p); err != nil {
		// What was measured for minutes is worth telling without it.
		p.Untold = err.Error()
	}
	return p, nil
}

// trace reads what the API server wrote down. It writes a call down when it has been answered,
// which whoever watches may see before: so it is read until all is there.
func (r *round) trace(ctx context.Context, way audit.Way, p *report.Phase) error {
	ctx, cancel := context.WithTimeout(ctx, traceTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var events []audit.Event
	for {
		more, err := r.log.Next()
		if err != nil {
			return err
		}
		events = append(events, more...)
		if p.Stages, err = audit.Follow(way, r.claims, events); err == nil {
			p.Calls = audit.Count(events, r.n)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
