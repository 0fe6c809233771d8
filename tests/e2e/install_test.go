package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever follows README.md has the driver, and a StatefulSet with its volumes; who follows
// docs/install.md then is rid of it. Their commands are read from there and run as they are.
func TestInstalledAndTakenOutAsTheDocumentationSays(t *testing.T) {
	w := alone(t)
	w.uninstall("default")
	defer w.install("default")
	w.freshPools() // those of the tests' own kustomization have other paths
	defer w.freshPools()

	w.commands(documented(t, "README.md", "Install"))
	volumes := make(map[string]string)
	for _, pod := range webs {
		w.inPod(pod, "echo "+pod+" >/data/name")
		volumes[pod] = w.volumeOf("data-" + pod).Name
	}
	w.keepsData(volumes)
	w.kubectl("delete", "-f", filepath.Join(root, "deploy/examples/statefulset.yaml"))
	w.kubectl("delete", "pvc", "--all")
	for _, name := range volumes {
		w.noVolume(name)
	}
	w.noRecords()

	w.commands(documented(t, "docs/install.md", "Uninstall"))
	for what, args := range map[string][]string{
		"objects of the driver":            {"get", "clusterroles,clusterrolebindings,csidrivers,storageclasses,validatingadmissionpolicies,validatingadmissionpolicybindings", "--selector=app.kubernetes.io/name=hostpath-csi", "--output=name"},
		"its custom resources":             {"api-resources", "--api-group=" + driverName, "--cached=false", "--output=name"},
		"its namespace":                    {"get", "namespaces", "--field-selector=metadata.name=" + driverNamespace, "--output=name"},
		"room that the scheduler knows of": {"get", "csistoragecapacities", "--all-namespaces", "--output=name"},
	} {
		w.eventually("there are no "+what, func(ctx context.Context) error {
			out, err := kubectl(ctx, w.ns, "", args...)
			if err == nil && out != "" {
				err = fmt.Errorf("there are %s", strings.Fields(out))
			}
			return err
		})
	}
}

// documented returns the commands of one section of a page.
func documented(t *testing.T, page, section string) (commands []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(content), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.Lines(text) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
			commands = append(commands, command)
		}
	}
	if len(commands) == 0 {
		t.Fatalf("%s shows no commands under %q", page, section)
	}
	return commands
}

// commands runs lines as a person would, in a shell at the top of the repository: kubectl is
// the cluster's, and its namespace, where none is named, the test's own.
func (w *world) commands(lines []string) {
	w.Helper()
	config := filepath.Join(w.TempDir(), "kubeconfig")
	content, err := os.ReadFile(filepath.Join(root, "out/e2e/admin.kubeconfig"))
	if err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(config, content, 0o600); err != nil {
		w.Fatal(err)
	}
	const prelude = `set -euo pipefail
. tests/e2e/cluster/env.sh
kubectl() { { set +x; } 2>/dev/null; "$KUBE" kubectl "$@"; set -x; }
kubectl config set-context --current --namespace="$0" >/dev/null
set -x
`
	ctx, cancel := context.WithTimeout(w.Context(), 2*patience)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", prelude+strings.Join(lines, "\n"), w.ns)
	shell.Dir, shell.Env = root, append(os.Environ(), "KUBECONFIG="+config)
	out, err := shell.CombinedOutput()
	w.Logf("%s", out)
	if err != nil {
		w.Fatalf("of the commands that are documented, one failed: %v", err)
	}
}
