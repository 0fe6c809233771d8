package main

import (
	"bytes"
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/prom"
)

// sample is what all processes told of themselves at one time, by their kind.
type sample map[string][]prom.Metrics

// The ports of the driver's pods that serve metrics, by their names (deploy/), and the processes behind them.
var ports = map[string]map[string]string{
	"controller": {"metrics": audit.Controller, "provisioner": audit.Provisioner, "resizer": "csi-resizer", "snapshotter": "csi-snapshotter"},
	"node":       {"metrics": audit.Node},
}

// sample asks all of them, one after the other.
func (c *cluster) sample(ctx context.Context) (sample, error) {
	s := sample{}
	ask := func(process string, from rest.Interface, path string) error {
		out, err := get(ctx, from, path)
		if err != nil {
			return fmt.Errorf("%s: %w", process, err)
		}
		m, err := prom.Parse(bytes.NewReader(out))
		if err != nil {
			return fmt.Errorf("%s: %w", process, err)
		}
		s[process] = append(s[process], m)
		return nil
	}
	api := c.kube.CoreV1().RESTClient()
	pods, err := c.driverPods(ctx)
	if err != nil {
		return nil, err
	}
	for _, pod := range pods {
		processes := ports[pod.Labels["app.kubernetes.io/component"]]
		for _, container := range pod.Spec.Containers {
			for _, port := range container.Ports {
				if process, ok := processes[port.Name]; ok {
					if err := ask(process, api, podMetrics(pod, port.ContainerPort)); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes.Items {
		if err := ask(audit.Kubelet, api, "/api/v1/nodes/"+n.Name+"/proxy/metrics"); err != nil {
			return nil, err
		}
	}
	for _, part := range []struct {
		process string
		from    rest.Interface
	}{{"API server", api}, {audit.ControllerManager, c.controllerManager}, {audit.Scheduler, c.scheduler}} {
		if err := ask(part.process, part.from, "/metrics"); err != nil {
			return nil, err
		}
	}
	for _, process := range []string{audit.Controller, audit.Node, audit.Provisioner} {
		if len(s[process]) == 0 {
			return nil, fmt.Errorf("there is no %s in namespace %s", process, driverNamespace)
		}
	}
	return s, nil
}

// histogram is that of all processes of a kind, since an earlier sample.
func (s sample) histogram(before sample, process, name string, labels prom.Labels) prom.Histogram {
	now, then := prom.Histogram{}, prom.Histogram{}
	for _, m := range s[process] {
		now = now.And(m.Histogram(name, labels))
	}
	for _, m := range before[process] {
		then = then.And(m.Histogram(name, labels))
	}
	return now.Since(then)
}

// cpu is the processor time since an earlier sample, in seconds, by kind of process.
func (s sample) cpu(before sample) map[string]float64 {
	all := map[string]float64{}
	for sign, one := range map[float64]sample{1: s, -1: before} {
		for process, several := range one {
			for _, m := range several {
				all[process] += sign * m.Value("process_cpu_seconds_total", nil)
			}
		}
	}
	return all
}

// memory is what the largest process of each kind has resident, in bytes.
func (s sample) memory() map[string]float64 {
	all := map[string]float64{}
	for process, several := range s {
		for _, m := range several {
			all[process] = max(all[process], m.Value("process_resident_memory_bytes", nil))
		}
	}
	return all
}

// label is the value of a label of a metric of the first process of a kind.
func (s sample) label(process, name, label string) string {
	for _, m := range s[process] {
		return m.Label(name, label)
	}
	return ""
}
