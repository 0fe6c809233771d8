package main

import (
	"fmt"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// parsePools reads --pool NAME=PATH[,OPTION=VALUE]... flags.
func parsePools(given []string) ([]agent.PoolOptions, error) {
	if len(given) == 0 {
		return nil, fmt.Errorf("--pool is missing: give at least one as NAME=PATH, such as --pool default=/var/lib/hostpath-csi, or a file of them with --config")
	}
	var all []config.Pool
	for _, g := range given {
		p, err := config.ParsePoolFlag(g)
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if wrong := together(p, other); wrong != "" {
				return nil, fmt.Errorf("--pool %s: %s", state.Quote(g), wrong)
			}
		}
		all = append(all, p)
	}
	return poolOptions(all), nil
}

// together tells what is wrong with two pools on one node.
func together(p, other config.Pool) string {
	switch {
	case other.Name == p.Name:
		return fmt.Sprintf("there are two pools of the name %q", p.Name)
	case within(p.Path, other.Path), within(other.Path, p.Path):
		return fmt.Sprintf("pools %q and %q overlap; each needs a directory of its own", other.Name, p.Name)
	case p.Image != nil && other.Image != nil && p.Image.Path == other.Image.Path:
		return fmt.Sprintf("%s is the image of pool %q, too; each needs one of its own", p.Image.Path, other.Name)
	case p.Image != nil && within(p.Image.Path, other.Path), other.Image != nil && within(other.Image.Path, p.Path):
		return fmt.Sprintf("of pools %q and %q, the image of one lies in the other; it needs a place beside the pools", other.Name, p.Name)
	case p.Device != nil && other.Device != nil && p.Device.Path == other.Device.Path:
		return fmt.Sprintf("%s is the device of pool %q, too; each needs one of its own", p.Device.Path, other.Name)
	}
	return ""
}

// within tells whether path is dir or beneath it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// poolOptions returns the pools as the agent takes them.
func poolOptions(pools []config.Pool) []agent.PoolOptions {
	all := make([]agent.PoolOptions, len(pools))
	for i, p := range pools {
		all[i] = agent.PoolOptions{Name: p.Name, Path: p.Path, Labels: p.Labels, Cordoned: p.Cordoned, RequireMountPoint: p.RequireMountPoint,
			ReserveBytes: p.Reserve.Bytes, ReservePercent: p.Reserve.Percent, Overcommit: p.Overcommit, ArchiveRetention: p.ArchiveRetention,
			Disk: diskOf(p), Enforcement: p.Enforcement, ProjectIDs: p.ProjectIDs}
	}
	return all
}

// diskOf is what the pool has a filesystem of its own on; nil: nothing.
func diskOf(p config.Pool) *disk.Disk {
	switch {
	case p.Image != nil:
		return &disk.Disk{Image: p.Image.Path, SizeBytes: p.Image.Bytes, Filesystem: p.Image.Filesystem, Provisioning: p.Image.Provisioning}
	case p.Device != nil:
		return &disk.Disk{Device: p.Device.Path, Filesystem: p.Device.Filesystem}
	}
	return nil
}
