// Package deploy tests what is in deploy: that the overlays and the Helm chart are the
// same, that the examples fit them, and what no manifest here may do.
package deploy

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	v2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	root      = "../../deploy"
	chartPath = root + "/helm/hostpath-csi"
	namespace = "hostpath-csi"
	release   = "hostpath-csi"
)

// overlay renders a kustomization of deploy, as `kubectl kustomize` does.
func overlay(name string) ([]object, error) {
	return kustomization(filesys.MakeFsOnDisk(), root+"/"+name)
}

func kustomization(fs filesys.FileSystem, dir string) ([]object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fs, dir)
	if err != nil {
		return nil, fmt.Errorf("kustomize %s: %w", dir, err)
	}
	rendered, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("kustomize %s: %w", dir, err)
	}
	return parse(dir, string(rendered))
}

// with renders an overlay with components, as a user's own kustomization adds them.
func with(name string, components ...string) ([]object, error) {
	if len(components) == 0 {
		return overlay(name)
	}
	// It has to lie on the disk, where the others are: kustomize reads one file system.
	return own(map[string]any{"resources": []string{name}, "components": components})
}

// chart renders the Helm chart with values, as `helm template --include-crds` does.
func chart(values string) ([]object, error) {
	files, err := templates(values)
	if err != nil {
		return nil, err
	}
	c, err := loadChart()
	if err != nil {
		return nil, err
	}
	for _, crd := range c.CRDObjects() {
		files[crd.Filename] = string(crd.File.Data)
	}
	var all []object
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue
		}
		objects, err := parse(name, files[name])
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

var loadChart = sync.OnceValues(func() (*v2.Chart, error) { return loader.LoadDir(chartPath) })

// templates returns what the chart's templates become, by their names. The values are
// checked by the chart's schema first.
func templates(values string) (map[string]string, error) {
	c, err := loadChart()
	if err != nil {
		return nil, err
	}
	var given map[string]any
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(c, given, common.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// parse reads objects out of a stream of YAML.
func parse(name, stream string) ([]object, error) {
	var all []object
	for document := range strings.SplitSeq("\n"+stream, "\n---") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
	return all, nil
}
