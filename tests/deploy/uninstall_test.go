//go:build kubestore

package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube"
	"github.com/hostpath-csi/hostpath-csi/tests/apiserver"
)

// The records of nodes are held by a finalizer: nothing would end them, and the custom
// resources would stay for ever. So the page on it says how they are let go.
func TestUninstallingAsTheDocumentationSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, uninstall, ok := strings.Cut(string(page), "## Uninstall")
	if !ok {
		t.Fatal("docs/install.md has no section on it")
	}
	ctx, dir := t.Context(), t.TempDir()
	own, err := apiserver.Start(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Stop() })
	if err := own.Apply(ctx, root+"/base/crd"); err != nil {
		t.Fatal(err)
	}
	store, err := kube.Open(ctx, own.Config(), kube.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"n1", "n2"} {
		if _, err := store.Nodes().Create(ctx, id, state.NodeSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	names, err := own.Kubectl(ctx, "get", "hostpathnodes", "--output=name")
	if err != nil || len(strings.Fields(names)) != 2 {
		t.Fatalf("%v: %s", err, names)
	}
	const patch, free = "patch --type=merge --patch=", `{"metadata":{"finalizers":null}}`
	for _, c := range []struct {
		said string
		args []string
	}{
		{"kubectl " + patch + "'" + free + "' $(kubectl get hostpathnodes --output=name)", append(strings.Fields(patch+free), strings.Fields(names)...)},
		{"kubectl delete -k deploy/overlays/default --ignore-not-found", []string{"delete", "--timeout=30s", "--filename=" + filepath.Join(root, "base/crd")}},
	} {
		if !strings.Contains(uninstall, c.said) {
			t.Errorf("docs/install.md does not say: %s", c.said)
		}
		if out, err := own.Kubectl(ctx, c.args...); err != nil {
			t.Fatalf("%s: %v: %s", c.said, err, out)
		}
	}
	left, err := own.Kubectl(ctx, "get", "customresourcedefinitions", "--output=name")
	if err != nil || left != "" {
		t.Errorf("%v; left are %s", err, left)
	}
}
