//go:build kubestore

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/tests/apiserver"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.RemoveBinaries()
	os.Exit(code)
}

// runningNode is a node's part of the driver, with its records in a real API server, and what
// stands for its pod: commands are run beside it, as they are in its container.
type runningNode struct {
	dir, kubeconfig string
	program         string
	server          *apiserver.Server
}

const nodePodYAML = `apiVersion: v1
kind: Namespace
metadata: {name: hostpath-csi}
---
apiVersion: v1
kind: Node
metadata: {name: worker-1}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: hostpath-csi}
---
apiVersion: v1
kind: Pod
metadata:
  name: node-a
  namespace: hostpath-csi
  labels: {app.kubernetes.io/name: hostpath-csi, app.kubernetes.io/component: node}
spec:
  nodeName: worker-1
  automountServiceAccountToken: false
  containers: [{name: hostpath-csi, image: none, args: [node, "--endpoint=unix://SOCKET"]}]
`

func startNode(t *testing.T, ctx context.Context) *runningNode {
	t.Helper()
	n := newNode(t, ctx)
	n.start(t)
	return n
}

// newNode is a node whose driver is not started.
func newNode(t *testing.T, ctx context.Context) *runningNode {
	t.Helper()
	n := &runningNode{dir: process.TempDir(t), program: process.Binary(t, "")}
	server, err := apiserver.Start(ctx, t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	n.server = server
	must(t, server.Apply(ctx, "../../deploy/base/crd"))
	n.kubeconfig = writeKubeconfig(t, server, n.dir)
	must(t, os.WriteFile(filepath.Join(n.dir, "pod.yaml"), []byte(strings.ReplaceAll(nodePodYAML, "SOCKET", n.socket())), 0o600))
	must(t, server.Apply(ctx, filepath.Join(n.dir, "pod.yaml")))
	pods, err := (&options{kubeconfig: n.kubeconfig, driverNamespace: "hostpath-csi"}).connectNodes()
	must(t, err)
	must(t, pods.api.Patch(types.MergePatchType).Namespace("hostpath-csi").Resource("pods").Name("node-a").SubResource("status").
		Body([]byte(`{"status":{"phase":"Running"}}`)).Do(ctx).Error())
	must(t, os.WriteFile(n.config(), []byte("apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\npools:\n  - name: fast\n    path: "+n.dir+"/pool\n    enforcement: none\n"), 0o600))
	return n
}

// start starts the driver, until the test ends.
func (n *runningNode) start(t *testing.T) {
	t.Helper()
	cmd, log := n.launch(t, n.program)
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(unix.SIGTERM))
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the driver: %v\n%s", err, log.String())
		}
	})
}

// launch starts a driver and waits until it serves.
func (n *runningNode) launch(t *testing.T, program string, env ...string) (cmd *exec.Cmd, log *bytes.Buffer) {
	t.Helper()
	_ = os.Remove(n.socket()) // which one that was killed has left
	cmd = exec.Command(program, "node", "--node-id", "worker-1", "--namespace", "hostpath-csi", "--kubeconfig", n.kubeconfig, "--config", n.config(), "--endpoint", "unix://"+n.socket())
	log = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(os.Environ(), env...)
	must(t, cmd.Start())
	process.Eventually(t, "the driver serves", func() error {
		_, err := os.Lstat(n.socket())
		return err
	})
	return cmd, log
}

// command runs a command of the plugin, which asks this node.
func (n *runningNode) command(ctx context.Context, args ...string) (string, error) {
	root := newCommands(&options{output: show.AsTable, exec: n.exec})
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(append(args, "--kubeconfig", n.kubeconfig))
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func (n *runningNode) socket() string { return filepath.Join(n.dir, "csi.sock") }
func (n *runningNode) config() string { return filepath.Join(n.dir, "config.yaml") }

// exec does what the container's runtime does in the pod, whose files are those of the machine.
func (n *runningNode) exec(ctx context.Context, pod string, command []string) ([]byte, error) {
	if pod != "node-a" || command[0] != driverProgram {
		return nil, errors.New("there is no such pod or program")
	}
	args := slices.Clone(command[1:])
	for i, arg := range args {
		if arg == driverConfig {
			args[i] = n.config()
		}
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, n.program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if said := strings.TrimSpace(stderr.String()); err != nil && said != "" {
		err = errors.New(strings.TrimPrefix(said, "hostpath-csi: "))
	}
	return stdout.Bytes(), err
}

// TestANodeIsAskedByItsOwnCommands: orphans, du and doctor beside the node plugin, whose records are
// in Kubernetes.
func TestANodeIsAskedByItsOwnCommands(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	n := startNode(t, ctx)
	run := func(args ...string) (string, error) { return n.command(ctx, args...) }
	for _, dir := range []string{"legacy", "volumes/stray", "snapshots/stray"} {
		must(t, os.MkdirAll(filepath.Join(n.dir, "pool", dir), 0o755))
		must(t, os.WriteFile(filepath.Join(n.dir, "pool", dir, "file"), []byte("data"), 0o600))
	}
	out, err := run("orphans", "adopt", "fast/legacy", "--node", "worker-1", "--as", "db", "--size", "64Mi")
	if err != nil || !strings.Contains(out, "is volume db, at volumes/db of the pool") {
		t.Errorf("adopt: %v\n%s", err, out)
	}
	for _, c := range []struct {
		args         string
		want, failed string
	}{
		{"orphans ls", "worker-1   fast   volumes/stray     it carries no record", ""},
		{"orphans remove --node worker-1 fast/volumes/db --yes", "", `"volumes/db" is no orphan: volume db has its place there`},
		{"orphans remove --node worker-1 fast/volumes/none --yes", "", `there is no "volumes/none" in the pool`},
		{"orphans remove --all", "", "give --yes"},
		{"orphans remove --all --yes", "fast/snapshots/stray goes from node worker-1\nfast/volumes/stray goes from node worker-1\n", ""},
		{"orphans ls", "no orphans", ""},
		{"volumes --used -o yaml", "\n  usedBytes: ", ""},
		{"du", "worker-1   fast   " + n.dir + "/pool/volumes/db", ""},
		{"doctor worker-1 -o yaml", "about: pool fast\n", ""}, // which warns at most
	} {
		out, err := run(strings.Fields(c.args)...)
		if !strings.Contains(out, c.want) || (err == nil) != (c.failed == "") || err != nil && !strings.Contains(err.Error(), c.failed) {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
	}
	for path, there := range map[string]bool{"volumes/db/file": true, "volumes/stray": false, "snapshots/stray": false} {
		if _, err := os.Lstat(filepath.Join(n.dir, "pool", path)); (err == nil) != there {
			t.Errorf("%s is there: %v", path, err == nil)
		}
	}
}
