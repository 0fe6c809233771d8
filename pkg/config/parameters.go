// Package config knows what may be configured: the parameters of a StorageClass,
// their defaults, and what each takes. Whatever is wrong with one is said in an
// error that names it, what it got and what it takes.
package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Parameters are those of a StorageClass (CSI: CreateVolumeRequest.parameters),
// with defaults where none was given.
type Parameters struct {
	// Pool is the pool's name; "": the driver chooses.
	Pool string
	// Mode is the permission bits of the volume's root directory.
	Mode uint32
	// UserID and GroupID own the volume's root directory.
	UserID, GroupID int
	// OnDelete says what becomes of the contents when the volume is deleted.
	OnDelete state.OnDelete
	// Claim is whom the volume is made for, where the provisioner tells.
	Claim *state.Claim
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
}

var parameters = map[string]parameter{
	"pool": {"a pool's name: lower-case letters, digits and hyphens", func(p *Parameters, value string) bool {
		p.Pool = value
		return state.ValidID(value)
	}},
	"mode": {"permission bits in octal, such as 0770", func(p *Parameters, value string) bool {
		n, err := strconv.ParseUint(value, 8, 32)
		p.Mode = uint32(n)
		return err == nil && n <= 0o7777
	}},
	"uid": {"a user ID, 0 to 4294967294", func(p *Parameters, value string) (ok bool) {
		p.UserID, ok = parseID(value)
		return ok
	}},
	"gid": {"a group ID, 0 to 4294967294", func(p *Parameters, value string) (ok bool) {
		p.GroupID, ok = parseID(value)
		return ok
	}},
	"onDelete": {"delete", func(p *Parameters, value string) bool {
		p.OnDelete = state.OnDelete(value)
		return p.OnDelete == state.OnDeleteRemove
	}},
}

func parseID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= maxID
}

// ParseParameters reads the parameters of a StorageClass. Errors have the Reason
// Invalid.
func ParseParameters(given map[string]string) (Parameters, error) {
	p := Parameters{Mode: DefaultMode, OnDelete: state.OnDeleteRemove}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		if rest, ok := strings.CutPrefix(name, provisionerPrefix); ok {
			p.fromProvisioner(rest, value)
			continue
		}
		known, ok := parameters[name]
		if !ok {
			return p, state.Errorf(state.Invalid, "parameters: unknown key %s; known are %s", state.Quote(name),
				strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
		}
		if !known.set(&p, value) {
			return p, state.Errorf(state.Invalid, "parameters: %s is %s; it takes %s", name, state.Quote(value), known.takes)
		}
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
