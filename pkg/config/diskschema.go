package config

import (
	"strconv"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The schema of what a pool's own filesystem lies on, and of project IDs.

// MinImageBytes is the least size of an image.
const MinImageBytes = 320 << 20

const takesPath = "an absolute path without '.', '..' or a final slash, and not the root"

// imageFields are the keys of image.
func imageFields() []field[Image] {
	return []field[Image]{
		{name: "path", takes: takesPath, without: "(required)",
			what: "the file. It is made if the pool is new, and never made again. No part of the path may be a symbolic link",
			set:  func(_ *decoder, v value, to *Image) bool { s, ok := text(v); to.Path = s; return ok && validPath(s) }},
		{name: "size", takes: "a size such as 10Gi, at least 320Mi", without: "(required)", live: "at once, if it is larger",
			what: "how large it is, in whole MiB. It is never made smaller",
			set: func(_ *decoder, v value, to *Image) bool {
				s, ok := text(v)
				bytes, isSize := parseSize(s)
				to.Bytes = bytes
				return ok && isSize && bytes >= MinImageBytes && bytes <= maxImageBytes
			}},
		{name: "filesystem", takes: takesFilesystem, without: "xfs", what: "what it is formatted with, once",
			set: func(_ *decoder, v value, to *Image) (ok bool) {
				to.Filesystem, ok = diskFilesystem(v)
				return ok
			}},
		{name: "provisioning", takes: "thick or thin", without: "thick", live: "for what it grows by",
			what: "whether its room is taken at once, or as it is written to. A thin image fails its volumes when the disk below is full",
			set: func(_ *decoder, v value, to *Image) bool {
				s, ok := text(v)
				to.Provisioning = state.Provisioning(s)
				return ok && (to.Provisioning == state.Thick || to.Provisioning == state.Thin)
			}},
	}
}

// maxImageBytes is the size of the largest file that filesystems in use have, in whole MiB.
const maxImageBytes = 1<<63 - 1<<20

// deviceFields are the keys of device.
func deviceFields() []field[Device] {
	return []field[Device]{
		{name: "path", takes: takesPath, without: "(required)",
			what: "the device: best one of /dev/disk/by-id, which stays the same",
			set:  func(_ *decoder, v value, to *Device) bool { s, ok := text(v); to.Path = s; return ok && validPath(s) }},
		{name: "filesystem", takes: takesFilesystem, without: "xfs", what: "what it carries, or is formatted with if it is blank",
			set: func(_ *decoder, v value, to *Device) (ok bool) {
				to.Filesystem, ok = diskFilesystem(v)
				return ok
			}},
	}
}

const takesFilesystem = "xfs or btrfs"

func diskFilesystem(v value) (string, bool) {
	s, ok := text(v)
	return s, ok && (s == "xfs" || s == "btrfs")
}

// idFields are the keys of projectIDs.
func idFields() []field[IDRange] {
	return []field[IDRange]{
		{name: "first", takes: takesID, without: "(required)", what: "the first of them",
			set: func(_ *decoder, v value, to *IDRange) (ok bool) { to.First, ok = projectID(v); return ok }},
		{name: "last", takes: takesID, without: "(required)", what: "the last of them: at most 16777216 in all",
			set: func(_ *decoder, v value, to *IDRange) (ok bool) { to.Last, ok = projectID(v); return ok }},
	}
}

const takesID = "a project ID, 1 to 4294967294"

// maxIDs is how many project IDs a filesystem's volumes may choose from.
const maxIDs = 1 << 24

func projectID(v value) (uint32, bool) {
	s, ok := text(v)
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), ok && err == nil && n > 0 && n < 1<<32-1
}

// validateDisks finds what is wrong with what a pool lies on, and its project IDs.
func (c *Configuration) validateDisks(p Pool, others []Pool) (all Problems) {
	if p.Image != nil && p.Device != nil {
		all = append(all, c.problem(p.key+".device", "image is given, too; it takes one of them"))
	}
	missing := func(key string, is bool, names string) {
		if is {
			all = append(all, c.problem(p.key+"."+key, "%s is missing", names))
		}
	}
	if i := p.Image; i != nil {
		missing("image", i.Path == "", "'path'")
		missing("image", i.Bytes == 0, "'size'")
		for _, other := range append(others, p) {
			if i.Path != "" && other.Path != "" && within(i.Path, other.Path) {
				all = append(all, c.problem(p.key+".image.path", "%q lies in %q, the path of pool %s; it takes a place beside the pools", i.Path, other.Path, other.Name))
			}
			if other.key != p.key && other.Image != nil && other.Image.Path == i.Path {
				all = append(all, c.problem(p.key+".image.path", "%q is the image of pool %s, too; each pool takes one of its own", i.Path, other.Name))
			}
		}
	}
	if d := p.Device; d != nil {
		missing("device", d.Path == "", "'path'")
		for _, other := range others {
			if other.Device != nil && other.Device.Path == d.Path {
				all = append(all, c.problem(p.key+".device.path", "%q is the device of pool %s, too; each pool takes one of its own", d.Path, other.Name))
			}
		}
	}
	_, given := c.places[p.key+".projectIDs"]
	switch ids := p.ProjectIDs; {
	case !given:
	case ids.First == 0 || ids.Last == 0:
		missing("projectIDs", true, "'first' or 'last'")
	case ids.First > ids.Last || ids.Last-ids.First >= maxIDs:
		all = append(all, c.problem(p.key+".projectIDs", "%d to %d are given; it takes a first and a last that is not below it, at most %d in all", ids.First, ids.Last, maxIDs))
	}
	return all
}
