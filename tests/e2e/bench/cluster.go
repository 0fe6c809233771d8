package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/report"
)

const driverNamespace = "hostpath-csi"

var records = schema.GroupVersionResource{Group: "hostpath-csi.dev", Version: "v1alpha1", Resource: "hostpathvolumes"}

// reach is how the parts of a cluster are reached.
type reach struct {
	kubeconfig, auditLog, controllerManager, scheduler string
}

// cluster is the ways to what is measured.
type cluster struct {
	kube              kubernetes.Interface
	objects           dynamic.Interface
	controllerManager rest.Interface
	scheduler         rest.Interface
	log               *audit.Log // nil: there is none
}

func connect(r reach) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", r.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // all at once is what is measured
	c := &cluster{}
	if c.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.controllerManager, err = component(config, r.controllerManager); err != nil {
		return nil, err
	}
	if c.scheduler, err = component(config, r.scheduler); err != nil {
		return nil, err
	}
	if r.auditLog != "" {
		c.log, err = audit.Open(r.auditLog)
	}
	return c, err
}

// component is the way to a part of the control plane that serves only this machine, with a
// certificate that it signed itself.
func component(config *rest.Config, address string) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.Host = address
	config.TLSClientConfig.Insecure = true
	config.TLSClientConfig.CAFile, config.TLSClientConfig.CAData = "", nil
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.CoreV1().RESTClient(), nil
}

func (c *cluster) close() {
	if c.log != nil {
		_ = c.log.Close()
	}
}

// get asks for a path, relative to a component's or the API server's address.
func get(ctx context.Context, from rest.Interface, path string) ([]byte, error) {
	out, err := from.Get().AbsPath(path).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	return out, nil
}

// facts are what the figures depend on besides the driver.
func (c *cluster) facts(ctx context.Context) (f report.Cluster, err error) {
	f.Date, f.Machine = time.Now().UTC().Format(time.DateOnly), machine()
	version, err := c.kube.Discovery().ServerVersion()
	if err != nil {
		return f, err
	}
	f.Kubernetes = version.GitVersion
	nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return f, err
	}
	f.Nodes = len(nodes.Items)
	s, err := c.sample(ctx)
	if err != nil {
		return f, err
	}
	f.Driver = "hostpath-csi " + s.label(audit.Controller, "hostpath_csi_build_info", "version")
	f.Limits = map[string]string{}
	for client, from := range map[string]rest.Interface{audit.ControllerManager: c.controllerManager, audit.Scheduler: c.scheduler} {
		if f.Limits[client], err = configured(ctx, from); err != nil {
			return f, err
		}
	}
	f.Limits[audit.Provisioner], err = c.provisionerFlags(ctx)
	return f, err
}

// configured is the rate of requests to which a part of the control plane holds each of its clients.
func configured(ctx context.Context, from rest.Interface) (string, error) {
	out, err := get(ctx, from, "/configz")
	if err != nil {
		return "", err
	}
	type connection struct {
		QPS   float64 `json:"qps"`
		Burst int     `json:"burst"`
	}
	var parts map[string]struct {
		Generic struct {
			ClientConnection connection
		}
		ClientConnection connection
	}
	if err := json.Unmarshal(out, &parts); err != nil {
		return "", fmt.Errorf("/configz: %w", err)
	}
	for _, part := range parts {
		// JSON's names are matched in any case, and one of both is empty.
		limit := part.Generic.ClientConnection
		if limit.QPS == 0 {
			limit = part.ClientConnection
		}
		return fmt.Sprintf("%v requests a second, bursts of %d", limit.QPS, limit.Burst), nil
	}
	return "", fmt.Errorf("/configz tells nothing: %s", out)
}

// provisionerFlags are those that bound its rate.
func (c *cluster) provisionerFlags(ctx context.Context) (string, error) {
	pods, err := c.driverPods(ctx)
	if err != nil {
		return "", err
	}
	for _, pod := range pods {
		for _, container := range pod.Spec.Containers {
			if container.Name == "csi-provisioner" {
				return strings.Join(slices.DeleteFunc(slices.Clone(container.Args), func(arg string) bool {
					return !strings.HasPrefix(arg, "--worker-threads=") && !strings.HasPrefix(arg, "--kube-api-qps=") && !strings.HasPrefix(arg, "--kube-api-burst=")
				}), " "), nil
			}
		}
	}
	return "", fmt.Errorf("no pod in %s has a container csi-provisioner", driverNamespace)
}

func (c *cluster) driverPods(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := c.kube.CoreV1().Pods(driverNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=hostpath-csi"})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

// podMetrics is where the API server reaches a port of a pod.
func podMetrics(pod corev1.Pod, port int32) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy/metrics", url.PathEscape(pod.Namespace), url.PathEscape(pod.Name), port)
}
