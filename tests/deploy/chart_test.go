package deploy

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

func TestTheSchemaRefusesWhatNoTemplateReads(t *testing.T) {
	for _, values := range []string{
		`{imagee: {}}`, `{image: {tagg: x}}`, `{image: {tag: latest}}`, `{image: {pullPolicy: Sometimes}}`, `{imagePullSecrets: [mine]}`,
		`{config: {pools: []}}`, `{config: {pool: x}}`, `{config: {pools: [{name: x}]}}`, `{config: {pools: [{name: x, path: relative}]}}`,
		`{log: {verbosity: high}}`, `{log: {format: xml}}`, `{environment: {lower-case: x}}`, `{kubeletDir: var/lib/kubelet}`, `{kubeletDir: /var/lib/kubelet/}`,
		`{poolDirectories: []}`, `{poolDirectories: [/srv, /srv]}`, `{controller: {replicas: 0}}`, `{controller: {replicas: two}}`, `{controller: {image: x}}`,
		`{node: {maxUnavailable: 0}}`, `{node: {maxUnavailable: 0%}}`, `{node: {maxUnavailable: many}}`, `{sidecars: {attacher: {}}}`,
		`{sidecars: {resizer: {image: {tag: ""}}}}`, `{sidecars: {resizer: {extraArgs: [v=5]}}}`, `{snapshots: {enabled: maybe}}`,
		`{snapshots: {classes: [{name: x}]}}`, `{storageClasses: [{reclaimPolicy: Delete}]}`, `{storageClasses: [{name: x, reclaimPolicy: Recycle}]}`,
		`{storageClasses: [{name: x, pool: fast}]}`, `{networkPolicy: {apiServerPorts: [0]}}`,
	} {
		if _, err := templates(values); err == nil {
			t.Errorf("%s is taken", values)
		}
	}
}

func TestTheSchemaTakesWhatValuesExplain(t *testing.T) {
	objects, err := chart(`
image: {repository: mirror.test/hostpath-csi, tag: v9.9.9, pullPolicy: Always}
imagePullSecrets: [{name: mirror}]
config:
  apiVersion: hostpath-csi.dev/v1alpha1
  kind: Configuration
  pools:
    - {name: fast, path: /mnt/nvme/pool, nodes: {matchLabels: {disk: ssd}}, reserve: 5%}
  defaults: {mode: "0770"}
log: {verbosity: 4, format: json}
environment: {HOSTPATH_CSI_MAX_VOLUMES: "50"}
kubeletDir: /srv/kubelet
poolDirectories: [/var/lib/hostpath-csi, /mnt/nvme]
node: {maxUnavailable: 1}
sidecars: {provisioner: {extraArgs: [--v=5]}}
storageClasses:
  - {name: fast, default: true, allowVolumeExpansion: false, mountOptions: [noatime], parameters: {pool: fast, uid: 1000}}
networkPolicy: {enabled: false}`)
	if err != nil {
		t.Fatal(err)
	}
	byName := comparable(t, objects)
	class := byName["storage.k8s.io/v1 StorageClass /fast"]
	for _, c := range []struct{ got, want any }{
		{at(class, "allowVolumeExpansion"), false},
		{at(class, "reclaimPolicy"), "Delete"},
		{at(class, "metadata", "annotations", "storageclass.kubernetes.io/is-default-class"), "true"},
		{at(class, "parameters", "uid"), "1000"},
		{at(byName["v1 ConfigMap hostpath-csi/hostpath-csi-environment"], "data", "HOSTPATH_CSI_MAX_VOLUMES"), "50"},
		{at(byName["v1 ConfigMap hostpath-csi/hostpath-csi"], "data", "log-verbosity"), "4"},
		{len(byKind(objects, "StorageClass")), 1},
		{len(byKind(objects, "NetworkPolicy")), 0},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	node := list(byName["apps/v1 DaemonSet hostpath-csi/hostpath-csi-node"].podSpec(), "containers")[0]
	if got := flags(node)["endpoint"]; got != "unix:///srv/kubelet/plugins/hostpath-csi.dev/csi.sock" {
		t.Errorf("the endpoint is %s", got)
	}
	mounted := 0
	for _, m := range list(node, "volumeMounts") {
		if p := at(m, "mountPath"); p == "/var/lib/hostpath-csi" || p == "/mnt/nvme" || p == "/srv/kubelet" {
			mounted++
		}
	}
	if mounted != 3 {
		t.Errorf("%d directories of the node are mounted", mounted)
	}
}

var topLevel = regexp.MustCompile(`(?m)^([a-zA-Z]+):`)

// Whoever reads values.yaml has read of every value.
func TestValuesAndSchemaKnowTheSame(t *testing.T) {
	c, err := loadChart()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(chartPath + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range topLevel.FindAllStringSubmatch(string(content), -1) {
		if !strings.Contains(string(c.Schema), `"`+m[1]+`": {`) {
			t.Errorf("the schema does not know %s", m[1])
		}
	}
}

func TestNotesNameTheClasses(t *testing.T) {
	files, err := templates("")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if path.Base(name) != "NOTES.txt" {
			continue
		}
		for _, class := range []string{"hostpath-csi-retain", "hostpath-csi-immediate", "snapshots.enabled=true", "namespace hostpath-csi"} {
			if !strings.Contains(text, class) {
				t.Errorf("the notes do not speak of %s:\n%s", class, text)
			}
		}
		return
	}
	t.Error("there are no notes")
}

// The keys of a configuration are the driver's to know: the schema refuses none of them.
func TestTheSchemaTakesEveryConfiguration(t *testing.T) {
	var full map[string]any
	if err := yaml.Unmarshal([]byte(config.Default()), &full); err != nil {
		t.Fatal(err)
	}
	if len(full) < 5 {
		t.Fatalf("the default configuration has only %d keys", len(full))
	}
	for key, value := range full {
		if value == nil { // all that is in it is a comment
			full[key] = map[string]any{}
		}
	}
	values, err := yaml.Marshal(map[string]any{"config": full})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := templates(string(values)); err != nil {
		t.Error(err)
	}
}

// An upgrade takes effect: pods read their environment when they start, and the rest of the
// configuration while they run.
func TestPodsAreReplacedForWhatTheyReadAtTheirStart(t *testing.T) {
	sums := func(values string) (all []string) {
		t.Helper()
		objects, err := chart(values)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range byKind(objects, "StatefulSet", "DaemonSet") {
			all = append(all, fmt.Sprint(at(o, "spec", "template", "metadata", "annotations", restartAnnotation)))
		}
		return all
	}
	before := sums("")
	if len(before) != 2 || before[0] != before[1] || len(before[0]) != 64 {
		t.Fatalf("the pods are annotated with %q", before)
	}
	for values, another := range map[string]bool{
		`{environment: {HOSTPATH_CSI_MAX_VOLUMES: "5"}}`: true,
		`{log: {verbosity: 4}}`:                          true,
		`{config: {apiVersion: hostpath-csi.dev/v1alpha1, kind: Configuration, pools: [{name: other, path: /srv/other}]}}`: false,
	} {
		if after := sums(values); (after[0] != before[0]) != another || after[0] != after[1] {
			t.Errorf("with %s the pods are annotated with %q, before with %q", values, after, before)
		}
	}
}
