//go:build kubestore

package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/apiserver"
)

// Helm installs custom resources and never changes them. They are Helm's then, and the API
// server lets nobody else change a field of them who does not say that he means it: what the
// page on upgrades says has to.
func TestCustomResourcesOfHelmAreUpgradedAsTheDocumentationSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, upgrade, _ := strings.Cut(string(page), "## Upgrade")
	var said []string
	for line := range strings.Lines(upgrade) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ kubectl apply "); ok && strings.Contains(command, "helm/hostpath-csi/crds/") {
			said = strings.Fields(command)
			break
		}
	}
	if said == nil {
		t.Fatal("docs/install.md does not say how the custom resources are upgraded")
	}

	ctx, dir := t.Context(), t.TempDir()
	own, err := apiserver.Start(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Stop() })
	// The version before: one field of each is another.
	files, err := filepath.Glob(root + "/base/crd/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d custom resources, %v", len(files), err)
	}
	const older = "An older HostPath"
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before := regexp.MustCompile(`(description: \|-\s+)HostPath`).ReplaceAllString(string(content), "${1}"+older)
		if before == string(content) {
			t.Fatalf("%s has no description to change", file)
		}
		path := filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := own.Kubectl(ctx, "apply", "--server-side", "--field-manager=helm", "--filename="+path); err != nil {
			t.Fatal(err)
		}
	}

	for i, arg := range said {
		if path, ok := strings.CutPrefix(arg, "deploy/"); ok {
			said[i] = root + "/" + path
		}
	}
	if out, err := own.Kubectl(ctx, append([]string{"apply"}, said...)...); err != nil {
		t.Fatalf("docs/install.md says kubectl apply %s: %v: %s", strings.Join(said, " "), err, out)
	}
	now, err := own.Kubectl(ctx, "get", "customresourcedefinitions", "--output=yaml")
	if err != nil || !strings.Contains(now, "HostPathVolume is one volume") || strings.Contains(now, older) {
		t.Errorf("%v; there are\n%s", err, now)
	}
}
