//go:build kubestore

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube"
	"github.com/hostpath-csi/hostpath-csi/tests/apiserver"
)

// TestKubectlShowsARealCluster has kubectl itself call the plugin, with its configuration.
func TestKubectlShowsARealCluster(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	server, err := apiserver.Start(ctx, dir)
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })

	kubectl := inPath(t, dir)
	kubeconfig := writeKubeconfig(t, server, dir)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, kubectl, append([]string{"hostpath"}, args...)...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "KUBECONFIG="+kubeconfig, "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		return string(out)
	}
	if out := run("volumes"); !strings.Contains(out, "hostpath-csi is not installed there") {
		t.Errorf("without the resources, volumes says: %s", out)
	}
	must(t, server.Apply(ctx, "../../deploy/base/crd"))
	if out := run("volumes"); out != "no volumes\n" {
		t.Errorf("of an empty cluster, volumes says: %s", out)
	}
	fill(t, ctx, server)
	for _, c := range []struct {
		args  string
		want  []string
		never string
	}{
		{"volumes", []string{"shop/data-db-0   worker-1   fast   4.0 GiB", "pvc-2", "Deleting"}, ""},
		{"volumes --node worker-2 --pool big -o json", []string{`"id": "pvc-2"`}, "pvc-1"},
		{"volumes -o wide --context test", []string{"volumes/pvc-1"}, ""},
		{"snapshots", []string{"snap-1     pvc-1    worker-1   fast", "Copying 1.0 GiB"}, ""},
		{"pools", []string{"worker-1   fast   xfs", "#####----- 50%"}, ""},
		{"nodes -o yaml", []string{"node: worker-1", "volumes: 1"}, ""},
	} {
		out := run(strings.Fields(c.args)...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", c.args, want, out)
			}
		}
		if c.never != "" && strings.Contains(out, c.never) {
			t.Errorf("%s says %q:\n%s", c.args, c.never, out)
		}
	}
}

// TestAnAdoptionIsDeclaredInARealCluster: nobody makes it here, so that it is waited for in vain.
func TestAnAdoptionIsDeclaredInARealCluster(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	server, err := apiserver.Start(ctx, dir)
	must(t, err)
	t.Cleanup(func() { must(t, server.Stop()) })
	must(t, server.Apply(ctx, "../../deploy/base/crd"))
	root := newRootCommand()
	root.SetArgs([]string{"adopt", "fast/legacy/db", "--node", "worker-1", "--as", "db", "--size", "20Gi", "--timeout", "1s", "--kubeconfig", writeKubeconfig(t, server, dir)})
	if err := root.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), "goes on being made") {
		t.Errorf("of an agent that is not there it says: %v", err)
	}
	store, err := kube.Open(ctx, server.Config(), kube.Options{})
	must(t, err)
	defer func() { must(t, store.Close()) }()
	v, err := store.Volumes().Get(ctx, "db")
	if err != nil || v.Spec.Adopt != "legacy/db" || v.Spec.Node != "worker-1" || v.Spec.Pool != "fast" || v.Spec.CapacityBytes != 20<<30 {
		t.Errorf("it declared %+v (%v)", v, err)
	}
	_, err = store.Volumes().UpdateSpec(ctx, "db", func(s *state.VolumeSpec) error { s.Adopt = "legacy/other"; return nil })
	if err == nil || !strings.Contains(err.Error(), "what a volume was made of cannot change") {
		t.Errorf("it is made of something else: %v", err)
	}
}

// inPath builds the plugin into a directory, and puts kubectl beside it.
func inPath(t *testing.T, dir string) (kubectl string) {
	t.Helper()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "kubectl-hostpath"), ".").CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	kubectl = filepath.Join(dir, "kubectl")
	must(t, os.WriteFile(kubectl, []byte("#!/bin/sh\nexec \"$"+apiserver.Program+"\" kubectl \"$@\"\n"), 0o755))
	return kubectl
}

func writeKubeconfig(t *testing.T, server *apiserver.Server, dir string) string {
	t.Helper()
	reach := server.Config()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: reach.Host, CertificateAuthority: reach.CAFile}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: reach.BearerToken}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	path := filepath.Join(dir, "kubeconfig")
	must(t, clientcmd.WriteToFile(*c, path))
	return path
}

// fill makes records as the controller and the agents do.
func fill(t *testing.T, ctx context.Context, server *apiserver.Server) {
	t.Helper()
	store, err := kube.Open(ctx, server.Config(), kube.Options{})
	must(t, err)
	defer func() { must(t, store.Close()) }()
	for _, v := range []struct{ id, node, pool string }{{"pvc-1", "worker-1", "fast"}, {"pvc-2", "worker-2", "big"}} {
		spec := state.VolumeSpec{Name: v.id, Node: v.node, Pool: v.pool, CapacityBytes: 4 << 30, AccessType: state.MountAccess, Mode: 0o777}
		if v.id == "pvc-1" {
			spec.Claim = &state.Claim{Namespace: "shop", Name: "data-db-0"}
		}
		_, err := store.Volumes().Create(ctx, v.id, spec)
		must(t, err)
		_, err = store.Volumes().UpdateStatus(ctx, v.id, func(st *state.VolumeStatus) error {
			*st = state.VolumeStatus{Phase: state.Ready, CapacityBytes: 4 << 30, Path: "volumes/" + v.id}
			return nil
		})
		must(t, err)
	}
	must(t, store.Volumes().Delete(ctx, "pvc-2"))
	snapshot, err := store.Snapshots().Create(ctx, "snap-1", state.SnapshotSpec{Name: "snap-1", Volume: "pvc-1", VolumeUID: strings.Repeat("0", 32), Node: "worker-1", Pool: "fast", AccessType: state.MountAccess})
	must(t, err)
	_, err = store.Snapshots().UpdateStatus(ctx, snapshot.ID, func(st *state.SnapshotStatus) error {
		*st = state.SnapshotStatus{Phase: state.Copying, SizeBytes: 4 << 30, Progress: &state.Progress{Bytes: 1 << 30}}
		return nil
	})
	must(t, err)
	_, err = store.Nodes().Create(ctx, "worker-1", state.NodeSpec{})
	must(t, err)
	_, err = store.Nodes().UpdateStatus(ctx, "worker-1", func(st *state.NodeStatus) error {
		st.Pools = []state.PoolStatus{{Name: "fast", Path: "/mnt/nvme", Filesystem: "xfs", Usage: state.Usage{TotalBytes: 2 << 30, UsedBytes: 1 << 30, AvailableBytes: 1 << 30}}}
		return nil
	})
	must(t, err)
}
