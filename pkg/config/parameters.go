// Package config knows what may be configured: the parameters of a StorageClass,
// their defaults, and what each takes. Whatever is wrong with one is said in an
// error that names it, what it got and what it takes.
package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Parameters are those of a StorageClass (CSI: CreateVolumeRequest.parameters),
// with defaults where none was given.
type Parameters struct {
	// Pool is the pool's name; "": the driver chooses.
	Pool string
	// PoolSelector chooses pools by their labels; nil: Pool says.
	PoolSelector labels.Selector
	// Mode is the permission bits of the volume's root directory.
	Mode uint32
	// UserID and GroupID own the volume's root directory.
	UserID, GroupID int
	// Provisioning says when a block volume takes its room.
	Provisioning state.Provisioning
	// OnDelete says what becomes of the contents when the volume is deleted.
	OnDelete state.OnDelete
	// PathTemplate names the volume's directory after its claim; nil: its ID does.
	PathTemplate *PathTemplate
	// Claim is whom the volume is made for, where the provisioner tells.
	Claim *state.Claim
	// Given names the parameters that the class itself gives. What a default says
	// may change while a call is tried again, and does not make it another call.
	Given map[string]bool
}

// DefaultMode lets every user of the pod write, as an emptyDir does.
const DefaultMode = 0o777

// maxID is the greatest user or group ID; the one above means "none".
const maxID = 1<<32 - 2

// provisionerPrefix is that of the parameters that external-provisioner adds or
// interprets itself.
const provisionerPrefix = "csi.storage.k8s.io/"

// parameter is one parameter that users may set: a newcomer is added here, and to
// state.VolumeSpec.
type parameter struct {
	takes string
	set   func(p *Parameters, value string) bool
	// wrong, if it is not nil, tells what exactly is wrong with a value that set does not take.
	wrong func(value string) error
	// without is what holds if neither class nor configuration say, and what
	// explains the parameter, for the reference.
	without, what string
}

var parameters = map[string]parameter{
	"pool": {takes: "a pool's name: lower-case letters, digits and hyphens", set: func(p *Parameters, value string) bool {
		p.Pool, p.PoolSelector = value, nil
		return state.ValidID(value)
	}, without: "the pool `default`, or, where there is none, the one with most room", what: "where the volume lies"},
	"poolSelector": {takes: "conditions on the labels of a pool, such as tier=fast,disk in (ssd,nvme)", set: func(p *Parameters, value string) bool {
		if len(value) > maxSelectorBytes {
			return false
		}
		selector, err := labels.Parse(value)
		p.Pool, p.PoolSelector = "", selector
		return err == nil && !selector.Empty()
	}, without: "", what: "where the volume lies: in the pool with most room of those whose labels fit. Either this or `pool`"},
	"mode": {takes: "permission bits in octal, such as 0770", set: func(p *Parameters, value string) bool {
		n, err := strconv.ParseUint(value, 8, 32)
		p.Mode = uint32(n)
		return err == nil && n <= 0o7777
	}, without: "0777", what: "permission bits of the volume's root directory"},
	"uid": {takes: "a user ID, 0 to 4294967294", set: func(p *Parameters, value string) (ok bool) {
		p.UserID, ok = parseID(value)
		return ok
	}, without: "0", what: "owner of the volume's root directory"},
	"gid": {takes: "a group ID, 0 to 4294967294", set: func(p *Parameters, value string) (ok bool) {
		p.GroupID, ok = parseID(value)
		return ok
	}, without: "0", what: "group of the volume's root directory"},
	"pathTemplate": {takes: "text with the fields {{ .PVC.Namespace }}, {{ .PVC.Name }} and {{ .PV.Name }}, and {{ .VolumeID }} at the end, in which each / begins a directory; or nothing",
		set: func(p *Parameters, value string) bool {
			if p.PathTemplate = nil; value == "" {
				return true
			}
			t, err := ParsePathTemplate(value)
			p.PathTemplate = t
			return err == nil
		},
		wrong:   func(value string) error { _, err := ParsePathTemplate(value); return err },
		without: "", what: "of mount volumes only: how their directories are named, in `claims/` of the pool, such as `{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}`. Without it they are in `volumes/`, named by their IDs"},
	"provisioning": {takes: "thick or thin", set: func(p *Parameters, value string) bool {
		p.Provisioning = state.Provisioning(value)
		return p.Provisioning == state.Thick || p.Provisioning == state.Thin
	}, without: "thick", what: "of block volumes only: whether the room is taken at once, or as it is written to"},
	"onDelete": {takes: "delete, archive or scrub", set: func(p *Parameters, value string) bool {
		p.OnDelete = state.OnDelete(value)
		return p.OnDelete == state.OnDeleteRemove || p.OnDelete == state.OnDeleteArchive || p.OnDelete == state.OnDeleteScrub
	}, without: "delete", what: "what becomes of the contents when the volume is deleted: they are removed, kept in the pool's archive, or overwritten before they are removed"},
}

// maxSelectorBytes bounds a selector, since what it costs to read grows with it.
const maxSelectorBytes = 1000

func parseID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= maxID
}

// Builtin are the parameters of a class that gives none, where no configuration
// says otherwise.
func Builtin() Parameters {
	return Parameters{Mode: DefaultMode, Provisioning: state.Thick, OnDelete: state.OnDeleteRemove}
}

// set takes one parameter as it was given.
func (p *Parameters) set(name, value string) error {
	known, ok := parameters[name]
	if !ok {
		return state.Errorf(state.Invalid, "unknown key %s; known are %s", state.Quote(name), strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
	}
	if !known.set(p, value) {
		if known.wrong != nil {
			return state.Errorf(state.Invalid, "%s is %s: %w; it takes %s", name, state.Quote(value), known.wrong(value), known.takes)
		}
		return state.Errorf(state.Invalid, "%s is %s; it takes %s", name, state.Quote(value), known.takes)
	}
	return nil
}

// ParseParameters reads the parameters of a StorageClass; what it leaves out is as
// in defaults. Errors have the Reason Invalid.
func ParseParameters(given map[string]string, defaults Parameters) (Parameters, error) {
	p := defaults
	p.Given = map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		if rest, ok := strings.CutPrefix(name, provisionerPrefix); ok {
			p.fromProvisioner(rest, value)
			continue
		}
		if err := p.set(name, value); err != nil {
			return p, state.Errorf(state.Invalid, "parameters: %w", err)
		}
		p.Given[name] = true
	}
	if p.Given["pool"] && p.Given["poolSelector"] {
		return p, state.Errorf(state.Invalid, "parameters: pool and poolSelector are both given; it takes one of them")
	}
	return p, nil
}

func (p *Parameters) fromProvisioner(name, value string) {
	if len(value) > maxClaimBytes {
		return // no name of a Kubernetes object
	}
	var claim state.Claim
	if p.Claim != nil {
		claim = *p.Claim
	}
	switch name {
	case "pvc/name":
		claim.Name = value
	case "pvc/namespace":
		claim.Namespace = value
	case "pv/name":
		claim.PV = value
	default:
		return
	}
	p.Claim = &claim
}

// maxClaimBytes is the length of the longest name of a Kubernetes object.
const maxClaimBytes = 253
