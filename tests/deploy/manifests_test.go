package deploy

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

// everything returns all that can be installed, by what it is called. Nobody changes it.
func everything(t *testing.T) map[string][]object {
	t.Helper()
	all, err := renderEverything()
	if err != nil {
		t.Fatal(err)
	}
	return maps.Clone(all)
}

var renderEverything = sync.OnceValues(func() (map[string][]object, error) {
	all := map[string][]object{}
	for _, name := range []string{"overlays/default", "overlays/ha", "overlays/single-node"} {
		for _, components := range [][]string{nil, {"components/snapshots"}} {
			objects, err := with(name, components...)
			if err != nil {
				return nil, err
			}
			all[strings.Join(append([]string{name}, components...), "+")] = objects
		}
	}
	charted, err := chart(`{controller: {replicas: 2}, snapshots: {enabled: true}}`)
	all["the chart"] = charted
	return all, err
})

func TestNobodyMayDoEverything(t *testing.T) {
	for name, objects := range everything(t) {
		roles := byKind(objects, "ClusterRole", "Role")
		if len(roles) == 0 {
			t.Errorf("%s has no roles", name)
		}
		for _, role := range roles {
			for _, rule := range list(role, "rules") {
				resources, verbs := texts(rule, "resources"), texts(rule, "verbs")
				for _, all := range [][]string{texts(rule, "apiGroups"), resources, verbs, texts(rule, "nonResourceURLs")} {
					if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "*") }) {
						t.Errorf("%s: %s has a wildcard: %v", name, role.key(), rule)
					}
				}
				if slices.Contains(resources, "secrets") {
					t.Errorf("%s: %s reaches secrets", name, role.key())
				}
				for _, verb := range []string{"escalate", "bind", "impersonate", "deletecollection"} {
					if slices.Contains(verbs, verb) {
						t.Errorf("%s: %s may %s %v", name, role.key(), verb, resources)
					}
				}
			}
		}
	}
}

// The controller declares, an agent tells what is: neither may write the other's half.
func TestSpecIsTheControllersAndStatusTheAgents(t *testing.T) {
	objects, err := overlay("overlays/default")
	if err != nil {
		t.Fatal(err)
	}
	writes := func(role, resource string) (verbs []string) {
		for _, o := range byKind(objects, "ClusterRole") {
			for _, rule := range list(o, "rules") {
				if o.name() == role && slices.Contains(texts(rule, "resources"), resource) {
					verbs = append(verbs, texts(rule, "verbs")...)
				}
			}
		}
		return slices.DeleteFunc(verbs, func(v string) bool { return v == "get" || v == "list" || v == "watch" })
	}
	for _, c := range []struct{ role, resource, want string }{
		{"hostpath-csi-controller", "hostpathvolumes", "create patch delete"},
		{"hostpath-csi-controller", "hostpathvolumes/status", ""},
		{"hostpath-csi-controller", "hostpathsnapshots", "create patch delete"},
		{"hostpath-csi-controller", "hostpathsnapshots/status", ""},
		{"hostpath-csi-controller", "hostpathnodes", "patch delete"},
		{"hostpath-csi-controller", "hostpathnodes/status", ""},
		{"hostpath-csi-node", "hostpathvolumes", "create patch delete"}, // ephemeral ones: admission.yaml
		{"hostpath-csi-node", "hostpathvolumes/status", "patch"},
		{"hostpath-csi-node", "hostpathsnapshots", "patch delete"},
		{"hostpath-csi-node", "hostpathsnapshots/status", "patch"},
		{"hostpath-csi-node", "hostpathnodes", "create patch"},
		{"hostpath-csi-node", "hostpathnodes/status", "patch"},
	} {
		if got := strings.Join(writes(c.role, c.resource), " "); got != c.want {
			t.Errorf("%s writes %s by %q, not by %q", c.role, c.resource, got, c.want)
		}
	}
}

var pinned = regexp.MustCompile(`^\S+:v?[0-9]+\.[0-9]+\.[0-9]+$|@sha256:[0-9a-f]{64}$`)

func TestImagesArePinned(t *testing.T) {
	for name, objects := range everything(t) {
		images := imagesOf(objects)
		if len(images) == 0 {
			t.Errorf("%s has no images", name)
		}
		for _, image := range images {
			if !pinned.MatchString(image) {
				t.Errorf("%s: image %s is not pinned to a version", name, image)
			}
		}
	}
}

func TestEveryImageCanBeReplaced(t *testing.T) {
	objects, err := own(map[string]any{"resources": []string{"overlays/ha"}, "components": []string{"components/snapshots"}, "images": []map[string]string{
		{"name": "ghcr.io/hostpath-csi/hostpath-csi", "newName": "mirror.test/hostpath-csi", "newTag": "e2e"},
		{"name": "registry.k8s.io/sig-storage/csi-provisioner", "newName": "mirror.test/csi-provisioner"},
		{"name": "registry.k8s.io/sig-storage/csi-resizer", "newName": "mirror.test/csi-resizer"},
		{"name": "registry.k8s.io/sig-storage/csi-snapshotter", "newName": "mirror.test/csi-snapshotter"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	charted, err := chart(`
image: {repository: mirror.test/hostpath-csi, tag: e2e}
sidecars:
  provisioner: {image: {repository: mirror.test/csi-provisioner}}
  resizer: {image: {repository: mirror.test/csi-resizer}}
  snapshotter: {image: {repository: mirror.test/csi-snapshotter}}
snapshots: {enabled: true}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range append(imagesOf(objects), imagesOf(charted)...) {
		if !strings.HasPrefix(image, "mirror.test/") {
			t.Errorf("image %s is left", image)
		}
	}
}

func imagesOf(objects []object) (images []string) {
	for _, o := range objects {
		for _, kind := range []string{"containers", "initContainers"} {
			for _, container := range list(o.podSpec(), kind) {
				images = append(images, fmt.Sprint(at(container, "image")))
			}
		}
	}
	return images
}

// What is tested in a cluster is what is deployed.
func TestSidecarsAreThoseOfTheCluster(t *testing.T) {
	content, err := os.ReadFile("../e2e/sidecars/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", content, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, r := range mod.Require {
		rest, ok := strings.CutPrefix(r.Mod.Path, "github.com/kubernetes-csi/external-")
		name, major, _ := strings.Cut(rest, "/")
		if ok && strings.HasPrefix(major, "v") {
			want["registry.k8s.io/sig-storage/csi-"+name] = r.Mod.Version
		}
	}
	for name, objects := range everything(t) {
		seen := 0
		for _, image := range imagesOf(objects) {
			repository, tag, _ := strings.Cut(image, ":")
			version, sidecar := want[repository]
			if sidecar {
				seen++
			}
			if sidecar && tag != version {
				t.Errorf("%s has %s, and the cluster of tests/e2e %s", name, image, version)
			}
		}
		if seen < 2 {
			t.Errorf("%s has %d of the sidecars %v", name, seen, want)
		}
	}
}

func TestTheConfigurationIsRight(t *testing.T) {
	for name, objects := range everything(t) {
		for _, o := range byKind(objects, "ConfigMap") {
			text, _ := at(o, "data", "config.yaml").(string)
			if _, err := config.Parse(name, strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		}
	}
}

// Pods use what is there: ConfigMaps, accounts, roles, ports of policies.
func TestWhatIsNamedIsThere(t *testing.T) {
	for name, objects := range everything(t) {
		there := map[string]bool{"ConfigMap hostpath-csi-environment": true} // optional
		ports := map[string]bool{"snapshotter": true}                        // where there are snapshots
		for _, o := range objects {
			there[o.kind()+" "+o.name()] = true
			for _, container := range list(o.podSpec(), "containers") {
				for _, port := range list(container, "ports") {
					ports[fmt.Sprint(at(port, "name"))] = true
				}
			}
		}
		need := func(by object, kind string, named any) {
			if !there[fmt.Sprintf("%s %v", kind, named)] {
				t.Errorf("%s: %s names %s %v, which is not there", name, by.key(), kind, named)
			}
		}
		for _, o := range objects {
			if spec := o.podSpec(); spec != nil {
				need(o, "ServiceAccount", at(spec, "serviceAccountName"))
				volumes := map[any]bool{}
				for _, v := range list(spec, "volumes") {
					volumes[at(v, "name")] = true
					if c := at(v, "configMap", "name"); c != nil {
						need(o, "ConfigMap", c)
					}
				}
				for _, container := range list(spec, "containers") {
					for _, m := range list(container, "volumeMounts") {
						if !volumes[at(m, "name")] {
							t.Errorf("%s: %s mounts %v, which is no volume", name, o.key(), at(m, "name"))
						}
					}
				}
			}
			if ref := at(o, "roleRef"); ref != nil {
				need(o, fmt.Sprint(at(ref, "kind")), at(ref, "name"))
				for _, subject := range list(o, "subjects") {
					need(o, "ServiceAccount", at(subject, "name"))
				}
			}
			if o.kind() == "StatefulSet" {
				need(o, "Service", at(o, "spec", "serviceName"))
			}
			if o.kind() == "NetworkPolicy" {
				for _, rule := range list(o, "spec", "ingress") {
					for _, port := range list(rule, "ports") {
						if !ports[fmt.Sprint(at(port, "port"))] {
							t.Errorf("%s: %s lets in port %v, which nobody has", name, o.key(), at(port, "port"))
						}
					}
				}
			}
		}
	}
}

// Only who mounts is privileged, and nobody else has a capability.
func TestOnlyTheNodePluginIsPrivileged(t *testing.T) {
	for name, objects := range everything(t) {
		for _, o := range objects {
			for _, container := range list(o.podSpec(), "containers") {
				security := at(container, "securityContext")
				mounts := o.kind() == "DaemonSet" || slices.Contains(texts(container, "args"), "standalone")
				if privileged := at(security, "privileged") == true; privileged != mounts {
					t.Errorf("%s: %s: container %v: privileged is %v", name, o.key(), at(container, "name"), privileged)
				}
				if at(security, "readOnlyRootFilesystem") != true {
					t.Errorf("%s: %s: container %v writes to its root", name, o.key(), at(container, "name"))
				}
				if !mounts && (!slices.Equal(texts(security, "capabilities", "drop"), []string{"ALL"}) || at(security, "allowPrivilegeEscalation") != false) {
					t.Errorf("%s: %s: container %v keeps capabilities", name, o.key(), at(container, "name"))
				}
				if at(container, "resources", "requests", "memory") == nil {
					t.Errorf("%s: %s: container %v requests no memory", name, o.key(), at(container, "name"))
				}
			}
		}
	}
}
