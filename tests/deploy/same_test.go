package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// Whoever installs with Helm has what others have who install with kustomize.
func TestTheChartIsTheOverlays(t *testing.T) {
	for _, c := range []struct {
		overlay    string
		components []string
		values     string
	}{
		{overlay: "overlays/default"},
		{overlay: "overlays/ha", values: `{controller: {replicas: 2}}`},
		{overlay: "overlays/default", components: []string{"components/snapshots"}, values: `{snapshots: {enabled: true}}`},
		{overlay: "overlays/ha", components: []string{"components/snapshots"}, values: `{controller: {replicas: 2}, snapshots: {enabled: true}}`},
	} {
		t.Run(strings.Join(append([]string{c.overlay}, c.components...), " with "), func(t *testing.T) {
			kustomized, err := with(c.overlay, c.components...)
			if err != nil {
				t.Fatal(err)
			}
			charted, err := chart(c.values)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, kustomized, charted)
		})
	}
}

func compare(t *testing.T, kustomized, charted []object) {
	want, got := comparable(t, kustomized), comparable(t, charted)
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("only the chart has %s", key)
		}
	}
	for key, o := range want {
		other, ok := got[key]
		switch {
		case !ok && o.kind() == "Namespace": // helm install --create-namespace
		case !ok:
			t.Errorf("the chart lacks %s", key)
		default:
			if diff := cmp.Diff(o, other); diff != "" {
				t.Errorf("%s: kustomize has -, the chart has +:\n%s", key, diff)
			}
		}
	}
}

// helmLabels are those that only the chart gives to its objects, to none of their pods.
var helmLabels = []string{"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}

// restartAnnotation has pods replaced by an upgrade that changes what they read at their
// start; with kustomize a person restarts them.
const restartAnnotation = "checksum/environment"

// ourLabels are those that every object has but a CRD of the chart, which is as
// controller-gen wrote it.
var ourLabels = []string{"app.kubernetes.io/name", "app.kubernetes.io/part-of"}

// comparable returns objects by their keys, without what may differ.
func comparable(t *testing.T, all []object) map[string]object {
	t.Helper()
	byKey := map[string]object{}
	for _, o := range all {
		if _, twice := byKey[o.key()]; twice {
			t.Errorf("%s is there twice", o.key())
		}
		byKey[o.key()] = o
		metadata, _ := o["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		for _, name := range helmLabels {
			delete(labels, name)
		}
		if o.kind() == "CustomResourceDefinition" {
			for _, name := range ourLabels {
				delete(labels, name)
			}
		}
		if len(labels) == 0 {
			delete(metadata, "labels")
		}
		if template, _ := at(o, "spec", "template", "metadata").(map[string]any); template != nil {
			annotations, _ := template["annotations"].(map[string]any)
			delete(annotations, restartAnnotation)
			if len(annotations) == 0 {
				delete(template, "annotations")
			}
		}
		// The order of containers means nothing.
		byName := func(a, b any) int { return strings.Compare(fmt.Sprint(at(a, "name")), fmt.Sprint(at(b, "name"))) }
		slices.SortFunc(list(o.podSpec(), "containers"), byName)
		// A file in a ConfigMap means what it means, however it is written.
		data, _ := o["data"].(map[string]any)
		if text, ok := data["config.yaml"].(string); ok {
			var fields any
			if err := yaml.Unmarshal([]byte(text), &fields); err != nil {
				t.Errorf("%s: %v", o.key(), err)
			}
			data["config.yaml"] = fields
		}
	}
	return byKey
}

// TestTheComparisonSees shows that the chart and the overlays can differ.
func TestTheComparisonSees(t *testing.T) {
	kustomized, err := overlay("overlays/default")
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range []string{`{sidecars: {resizer: {extraArgs: [--workers=1]}}}`, `{log: {verbosity: 3}}`, `{kubeletDir: /srv/kubelet}`,
		`{networkPolicy: {enabled: false}}`, `{storageClasses: []}`, `{environment: {HOSTPATH_CSI_MAX_VOLUMES: "5"}}`} {
		charted, err := chart(values)
		if err != nil {
			t.Fatal(err)
		}
		if cmp.Equal(comparable(t, kustomized), comparable(t, charted)) {
			t.Errorf("%s makes no difference", values)
		}
	}
}
