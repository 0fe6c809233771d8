package deploy

import (
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// own renders a kustomization that a user writes: its resources and components are
// paths below deploy.
func own(fields map[string]any) (all []object, err error) {
	deploy, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kustomization")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	for _, field := range []string{"resources", "components"} {
		paths, _ := fields[field].([]string)
		for i, p := range paths {
			if paths[i], err = filepath.Rel(dir, filepath.Join(deploy, p)); err != nil {
				return nil, err
			}
		}
	}
	encoded, err := yaml.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), encoded, 0o644); err != nil {
		return nil, err
	}
	return kustomization(filesys.MakeFsOnDisk(), dir)
}
