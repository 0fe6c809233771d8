package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// parsePools reads --pool NAME=PATH flags.
func parsePools(given []string) ([]agent.PoolOptions, error) {
	if len(given) == 0 {
		return nil, fmt.Errorf("--pool is missing: give at least one as NAME=PATH, such as --pool default=/var/lib/hostpath-csi, or a file of them with --config")
	}
	var pools []agent.PoolOptions
	for _, g := range given {
		name, path, ok := strings.Cut(g, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf("--pool is %q; it takes NAME=PATH, such as default=/var/lib/hostpath-csi", g)
		case !state.ValidID(name):
			return nil, fmt.Errorf("--pool %q: the name is %q; it takes lower-case letters, digits and inner hyphens, at most 63", g, name)
		case !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/":
			return nil, fmt.Errorf("--pool %q: the path is %q; it takes an absolute path without '.', '..' or a final slash, and not the root", g, path)
		case strings.ContainsRune(path, 0):
			return nil, fmt.Errorf("--pool %q: the path has a NUL in it", g)
		}
		for _, other := range pools {
			if other.Name == name {
				return nil, fmt.Errorf("--pool %q: there are two pools of the name %q", g, name)
			}
			if within(path, other.Path) || within(other.Path, path) {
				return nil, fmt.Errorf("--pool %q: pools %q and %q overlap; each needs a directory of its own", g, other.Name, name)
			}
		}
		pools = append(pools, agent.PoolOptions{Name: name, Path: path})
	}
	return pools, nil
}

// within tells whether path is dir or beneath it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
