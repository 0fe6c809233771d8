package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// What no record tells, since only a node's disk knows it, a node is asked by the
// command of the same name, which runs in the pod of the node plugin there. Who may do so is
// who may run commands in the driver's pods: in effect, the node's root.
const (
	nodePlugin    = "app.kubernetes.io/name=hostpath-csi,app.kubernetes.io/component=node"
	driverProgram = "/hostpath-csi"
	driverConfig  = "/etc/hostpath-csi/config.yaml"
	driverPod     = "hostpath-csi" // the container
)

const onNodesHelp = `Only the disks know of it: each node is asked by the command of that name of its driver, in
the pod of its node plugin. It takes the rights to list pods there and to run commands in them
(create pods/exec).`

func (o *options) addDriverNamespace(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&o.driverNamespace, "driver-namespace", "hostpath-csi", "namespace that the driver runs in")
}

// nodePods reaches the pods of the node plugin.
type nodePods struct {
	namespace string
	api       rest.Interface
	codec     runtime.ParameterCodec
	config    *rest.Config
	// exec runs a command in a pod; tests have another.
	exec     func(ctx context.Context, pod string, command []string) (stdout []byte, err error)
	progress *show.Progress
}

// connectNodes reaches the pods of the driver's namespace.
func (o *options) connectNodes() (*nodePods, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	api, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("how to reach the cluster: %w", err)
	}
	n := &nodePods{namespace: o.driverNamespace, api: api, codec: runtime.NewParameterCodec(scheme), config: config, progress: o.progress}
	n.exec = n.execute
	if o.exec != nil {
		n.exec = o.exec
	}
	return n, nil
}

// nodePod is a pod of the node plugin that works, its node, and the socket of its driver.
type nodePod struct{ name, node, endpoint string }

// defaultEndpoint is the socket of a node plugin that is given none.
const defaultEndpoint = "unix:///var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock"

func endpointOf(p *corev1.Pod) string {
	for _, c := range p.Spec.Containers {
		for _, arg := range c.Args {
			if endpoint, ok := strings.CutPrefix(arg, "--endpoint="); ok && c.Name == driverPod {
				return endpoint
			}
		}
	}
	return defaultEndpoint
}

// list returns the pods of the node plugin, or that of one node. away are nodes whose pod does
// not work.
func (n *nodePods) list(ctx context.Context, node string) (pods []nodePod, away []string, err error) {
	options := metav1.ListOptions{LabelSelector: nodePlugin}
	if node != "" {
		options.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
	}
	var list corev1.PodList
	if err := n.api.Get().Namespace(n.namespace).Resource("pods").VersionedParams(&options, n.codec).Do(ctx).Into(&list); err != nil {
		return nil, nil, err
	}
	for _, p := range list.Items {
		if p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil {
			away = append(away, p.Spec.NodeName)
			continue
		}
		pods = append(pods, nodePod{p.Name, p.Spec.NodeName, endpointOf(&p)})
	}
	switch {
	case len(pods) > 0:
		return pods, away, nil
	case node != "":
		return nil, nil, fmt.Errorf("no pod of the node plugin works on node %s in namespace %s: see 'kubectl -n %s get pods -o wide', or give --driver-namespace", state.Quote(node), n.namespace, n.namespace)
	}
	return nil, nil, fmt.Errorf("no pod of the node plugin works in namespace %s: give the driver's as --driver-namespace", n.namespace)
}

const itsEndpoint = "ENDPOINT"

// run runs a command of the driver's program, such as "archive ls", on a node and returns
// what it prints. The word itsEndpoint in it stands for the socket of the driver there.
func (n *nodePods) run(ctx context.Context, on nodePod, command string, args ...string) ([]byte, error) {
	line := []string{driverProgram}
	for word := range strings.FieldsSeq(command) {
		if word == itsEndpoint {
			word = on.endpoint
		}
		line = append(line, word)
	}
	out, err := n.exec(ctx, on.name, append(append(line, "--config", driverConfig), args...))
	if err != nil {
		return out, fmt.Errorf("node %s: %w", on.node, err)
	}
	return out, nil
}

// ask has nodes, or the one of that name, run a command that prints JSON, and gives each answer
// to add. What some could not tell is an error beside what the others told; asked tells whether
// any was asked.
func ask[T any](ctx context.Context, n *nodePods, node, command string, add func(node string, there T)) (asked bool, unseen error) {
	pods, away, err := n.list(ctx, node)
	if err != nil {
		return false, err
	}
	var errs []error
	for _, node := range away {
		errs = append(errs, fmt.Errorf("node %s was not asked: its pod of the node plugin does not work", node))
	}
	defer n.progress.End()
	for i, p := range pods {
		n.progress.Share(i, len(pods), "asking node "+p.node)
		out, err := n.run(ctx, p, command, "-o", "json")
		if err != nil {
			errs = append(errs, err)
		}
		if len(out) == 0 {
			continue
		}
		var there T
		if err := json.Unmarshal(out, &there); err != nil {
			errs = append(errs, fmt.Errorf("node %s tells something else than JSON: %w", p.node, err))
			continue
		}
		add(p.node, there)
	}
	return true, errors.Join(errs...)
}

// execute does what kubectl exec does.
func (n *nodePods) execute(ctx context.Context, pod string, command []string) ([]byte, error) {
	req := n.api.Post().Namespace(n.namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: driverPod, Command: command, Stdout: true, Stderr: true}, n.codec)
	there, err := remotecommand.NewWebSocketExecutor(n.config, "GET", req.URL().String())
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	err = there.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	if said := strings.TrimSpace(strings.TrimPrefix(stderr.String(), "hostpath-csi: ")); err != nil && said != "" {
		err = errors.New(said)
	}
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w: ask for the right to create pods/exec in namespace %s", err, n.namespace)
	}
	return stdout.Bytes(), err
}
