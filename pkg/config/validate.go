package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// validate finds what is wrong with the file as a whole, all of its keys being
// right on their own.
func (c *Configuration) validate() (all Problems) {
	if len(c.Pools) == 0 {
		all = append(all, c.problem("pools", "there is none; it takes at least one pool, with name and path"))
	}
	for i, p := range c.Pools {
		for name, given := range map[string]string{"name": p.Name, "path": p.Path} {
			if given == "" {
				all = append(all, c.problem(p.key, "'%s' is missing", name))
			}
		}
		var sameNodes []Pool
		for _, other := range c.Pools {
			if other.key != p.key && other.Nodes.String() == p.Nodes.String() {
				sameNodes = append(sameNodes, other)
			}
		}
		all = append(all, c.validateDisks(p, sameNodes)...)
		for _, other := range c.Pools[:i] {
			if p.Name == other.Name {
				all = append(all, c.problem(p.key+".name", "there is a pool %q already, in line %d", p.Name, c.problem(other.key+".name", "").Line))
			}
			// Pools of different nodes may have one path. Whether selectors choose
			// different nodes only the nodes' labels tell: see On.
			if p.Nodes.String() == other.Nodes.String() && overlap(p, other) {
				all = append(all, c.overlapping(p, other))
			}
		}
	}
	_, byName := c.places["defaults.pool"]
	_, byLabels := c.places["defaults.poolSelector"]
	if byName && byLabels {
		all = append(all, c.problem("defaults.pool", "poolSelector is given, too; it takes one of them"))
	}
	if name := c.Defaults.Pool; name != "" && !c.has(name) {
		all = append(all, c.problem("defaults.pool", "there is no pool %q in this file", name))
	}
	return all
}

func (c *Configuration) has(pool string) bool {
	for _, p := range c.Pools {
		if p.Name == pool {
			return true
		}
	}
	return false
}

func overlap(a, b Pool) bool { return within(a.Path, b.Path) || within(b.Path, a.Path) }

func (c *Configuration) overlapping(p, other Pool) Problem {
	return c.problem(p.key+".path", "%q overlaps with %q, the path of pool %s in line %d; each pool takes a directory of its own",
		p.Path, other.Path, other.Name, c.problem(other.key+".path", "").Line)
}

// CheckPaths finds pools whose path leads through a symbolic link on this machine,
// or is no directory, and images that are larger than they are declared. What is not
// there yet is right.
func (c *Configuration) CheckPaths(pools []Pool) error {
	var all Problems
	for _, p := range pools {
		if wrong := wrongPath(p.Path); wrong != "" {
			all = append(all, c.problem(p.key+".path", "%s", wrong))
		}
		if p.Image == nil {
			continue
		}
		if wrong := wrongPath(filepath.Dir(p.Image.Path)); wrong != "" {
			all = append(all, c.problem(p.key+".image.path", "%s", wrong))
		} else if info, err := os.Lstat(p.Image.Path); err == nil && !info.Mode().IsRegular() {
			all = append(all, c.problem(p.key+".image.path", "%s is no regular file", p.Image.Path))
		} else if err == nil && info.Size() > wholeMiB(p.Image.Bytes) {
			all = append(all, c.problem(p.key+".image.size", "%s has %d bytes already, and cannot be made smaller; it takes at least that", p.Image.Path, info.Size()))
		}
	}
	return all.orNil()
}

func wholeMiB(bytes int64) int64 { return (bytes + 1<<20 - 1) >> 20 << 20 }

func wrongPath(path string) string {
	at := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		at += "/" + part
		info, err := os.Lstat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return ""
		case err != nil:
			return err.Error()
		case info.Mode()&fs.ModeSymlink != 0:
			if real, err := filepath.EvalSymlinks(at); err == nil {
				return at + " is a symbolic link to " + real + "; it takes a path without any: name the directory itself"
			}
			return at + " is a symbolic link; it takes a path without any"
		case !info.IsDir():
			return at + " is no directory"
		}
	}
	return ""
}
