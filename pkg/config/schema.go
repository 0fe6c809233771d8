package config

import (
	"strconv"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The schema: a table for each mapping of the file. Decoding, error messages, the
// default file and the reference in docs/configuration.md all come from it.
//
// It is made of functions, since the keys of a mapping are read by one another.

// live marks what takes effect at once when the file changes.
const live = "at once"

// documentFields are the keys at the top of the file.
func documentFields() []field[document] {
	return []field[document]{
		{name: "apiVersion", takes: APIVersion, without: "(required)", what: "the version of this schema",
			set: func(_ *decoder, v value, to *document) bool {
				s, ok := text(v)
				to.apiVersion = s
				return ok && s == APIVersion
			}},
		{name: "kind", takes: Kind, without: "(required)", what: "what the file is",
			set: func(_ *decoder, v value, to *document) bool { s, ok := text(v); to.kind = s; return ok && s == Kind }},
		{name: "pools", takes: "a list of pools", without: "(required)", live: live, what: "the pools of all nodes",
			set: func(d *decoder, v value, _ *document) bool { d.pools(v); return true }},
		{name: "defaults", takes: "parameters of a volume", without: "as below", live: live, what: "what holds for a parameter that a volume's class leaves out",
			set: func(d *decoder, v value, _ *document) bool { d.defaults(v); return true }},
		{name: "log", takes: "a mapping", live: live, what: "how much is logged, and how",
			set: func(d *decoder, v value, _ *document) bool { mapping(d, v, logFields(), &d.c.Log); return true }},
	}
}

// document is what the file says of itself.
type document struct{ apiVersion, kind string }

// poolFields are the keys of one pool.
func poolFields() []field[Pool] {
	return []field[Pool]{
		{name: "name", takes: "lower-case letters, digits and inner hyphens, at most 63 bytes", without: "(required)", example: "default",
			what: "how StorageClasses call the pool; unique in the file",
			set:  func(_ *decoder, v value, to *Pool) bool { s, ok := text(v); to.Name = s; return ok && state.ValidID(s) }},
		{name: "path", takes: "an absolute path without '.', '..' or a final slash, and not the root", without: "(required)", live: "once the pool is empty",
			example: "/var/lib/hostpath-csi/pool",
			what:    "the pool's directory on the node. It is made if need be. No part of it may be a symbolic link, and no pool may lie in another of its node",
			set:     func(_ *decoder, v value, to *Pool) bool { s, ok := text(v); to.Path = s; return ok && validPath(s) }},
		{name: "nodes", takes: "a label selector: matchLabels, matchExpressions", without: "all nodes", live: live,
			example: "# {matchLabels: {disk: ssd}}",
			what:    "the nodes that have the pool, by their labels",
			set:     func(d *decoder, v value, to *Pool) bool { to.Nodes = d.selector(v); return true }},
		{name: "labels", takes: "a mapping of label names to label values", without: "none", live: live,
			example: "# {tier: fast}",
			what:    "the pool's own labels, which the parameter `poolSelector` chooses by",
			set:     func(d *decoder, v value, to *Pool) bool { to.Labels = d.labels(v); return true }},
		{name: "requireMountPoint", takes: "true or false", without: "false", live: "when the pool is next taken into use", example: "# true",
			what: "refuse the pool while no filesystem is mounted at its path, so that volumes never land on the disk beneath",
			set: func(_ *decoder, v value, to *Pool) (ok bool) {
				to.RequireMountPoint, ok = boolean(v)
				return ok
			}},
		{name: "reserve", takes: "a share such as 5%, or a size such as 10Gi", without: "0%", live: live, example: "5%",
			what: "the part of the pool's filesystem that is never handed out",
			set:  func(_ *decoder, v value, to *Pool) (ok bool) { to.Reserve, ok = parseReserve(v); return ok }},
		{name: "overcommit", takes: "a number from 0.01 to 100", without: "1", live: live, example: "# 1.5",
			what: "how many times the size of the pool's filesystem may be promised to volumes",
			set: func(_ *decoder, v value, to *Pool) bool {
				s, ok := text(v)
				n, err := strconv.ParseFloat(s, 64)
				to.Overcommit = n
				return ok && err == nil && n >= 0.01 && n <= 100
			}},
		{name: "archiveRetention", takes: "days, such as 30d, or hours, such as 12h", without: "for ever", live: live, example: "# 30d",
			what: "how long volumes with `onDelete: archive` are kept after their deletion",
			set: func(_ *decoder, v value, to *Pool) (ok bool) {
				to.ArchiveRetention, ok = parseRetention(v)
				return ok
			}},
		{name: "cordoned", takes: "true or false", without: "false", live: live, example: "# true",
			what: "take no new volumes. Those that are there are served, and can be expanded, as before",
			set:  func(_ *decoder, v value, to *Pool) (ok bool) { to.Cordoned, ok = boolean(v); return ok }},
		{name: "image", takes: "a mapping: path, size, and perhaps filesystem and provisioning", without: "none", live: "a larger size at once, the rest when the pool is next taken into use",
			example: "# {path: /var/lib/hostpath-csi/pool.img, size: 100Gi}",
			what:    "a file that the pool's filesystem lies in, which the driver makes, formats, mounts at `path`, and grows",
			set: func(d *decoder, v value, to *Pool) bool {
				to.Image = &Image{Filesystem: "xfs", Provisioning: state.Thick}
				mapping(d, v, imageFields(), to.Image)
				return true
			}},
		{name: "device", takes: "a mapping: path, and perhaps filesystem", without: "none", live: "when the pool is next taken into use", example: "# ",
			what: "a block device that the pool's filesystem lies on, which the driver mounts at `path`, and formats if it is blank and the pool new. Either this or `image`",
			set: func(d *decoder, v value, to *Pool) bool {
				to.Device = &Device{Filesystem: "xfs"}
				mapping(d, v, deviceFields(), to.Device)
				return true
			}},
		{name: "enforcement", takes: "required, preferred or none", without: "preferred", live: "at once; to and from none when the pool is next taken into use", example: "# required",
			what: "what becomes of volumes where the filesystem does not hold them to their size: `required` takes no new ones, `preferred` takes them and has their health tell, `none` sets no limits at all",
			set: func(_ *decoder, v value, to *Pool) bool {
				s, ok := text(v)
				to.Enforcement = state.Enforcement(s)
				return ok && (to.Enforcement == state.EnforcementRequired || to.Enforcement == state.EnforcementPreferred || to.Enforcement == state.EnforcementNone)
			}},
		{name: "projectIDs", takes: "a mapping: first and last", without: "1048576 to 2097151", live: "when the pool is next taken into use",
			example: "# {first: 1048576, last: 2097151}",
			what:    "the project IDs that volumes on XFS and ext4 are given. They must be this driver's alone, and the same for all pools of one filesystem",
			set:     func(d *decoder, v value, to *Pool) bool { mapping(d, v, idFields(), &to.ProjectIDs); return true }},
	}
}

// selectorFields are the keys of a label selector, as Kubernetes has them.
func selectorFields() []field[selection] {
	return []field[selection]{
		{name: "matchLabels", takes: "a mapping of label names to label values", without: "none", what: "labels that a node must have",
			set: func(d *decoder, v value, to *selection) bool { to.matchLabels(d, v); return true }},
		{name: "matchExpressions", takes: "a list of expressions, each with key, operator and values", without: "none",
			what: "conditions that a node must meet. `operator` is `In`, `NotIn`, `Exists` or `DoesNotExist`; the first two take `values`",
			set:  func(d *decoder, v value, to *selection) bool { to.matchExpressions(d, v); return true }},
	}
}

// expressionFields are the keys of one of matchExpressions.
func expressionFields() []field[expression] {
	return []field[expression]{
		{name: "key", takes: "a label's name", set: func(_ *decoder, v value, to *expression) (ok bool) { to.key, ok = text(v); return ok }},
		{name: "operator", takes: "In, NotIn, Exists or DoesNotExist", set: func(_ *decoder, v value, to *expression) bool {
			s, ok := text(v)
			to.operator = operators[s]
			return ok && to.operator != ""
		}},
		{name: "values", takes: "a list of label values", set: func(d *decoder, v value, to *expression) bool {
			d.items(v, func(at value) {
				s, ok := text(at)
				if !ok {
					d.complain(at, "got %s; it takes a label's value", shown(at))
				}
				to.values = append(to.values, s)
			})
			return true
		}},
	}
}

// logFields are the keys of log.
func logFields() []field[Log] {
	return []field[Log]{
		{name: "verbosity", takes: "a number from 0 to 10", without: "as the flag -v says", live: live, example: "# 2",
			what: "how much to log: 0 what an operator must know, 2 refused calls, 4 every call, 5 requests (without secrets)",
			set: func(_ *decoder, v value, to *Log) bool {
				s, ok := text(v)
				n, err := strconv.ParseUint(s, 10, 8)
				verbosity := int(n)
				to.Verbosity = &verbosity
				return ok && err == nil && n <= 10
			}},
		{name: "format", takes: "text or json", without: "as the flag --log-format says", live: live, example: "# json",
			what: "how to log",
			set: func(_ *decoder, v value, to *Log) bool {
				s, ok := text(v)
				to.Format = s
				return ok && (s == "text" || s == "json")
			}},
	}
}
