package driver

import (
	"fmt"
	"math"
	"regexp"
	"unicode/utf8"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// maxStringBytes bounds every string of a request that the CSI spec does not give
// a limit of its own ("Size Limits").
const maxStringBytes = 128

// checkName checks a CSI name: 1 to 128 bytes without control characters
// (CSI: CreateVolumeRequest.name).
func checkName(field, name string) error {
	switch {
	case name == "":
		return state.Errorf(state.Invalid, "%s is missing", field)
	case len(name) > maxStringBytes:
		return state.Errorf(state.Invalid, "%s is %s; it takes at most %d bytes", field, state.Quote(name), maxStringBytes)
	case !utf8.ValidString(name):
		return state.Errorf(state.Invalid, "%s is %s; it takes valid UTF-8", field, state.Quote(name))
	}
	for _, r := range name {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r <= 0x9f {
			return state.Errorf(state.Invalid, "%s is %s; it takes no control characters", field, state.Quote(name))
		}
	}
	return nil
}

// checkID checks a volume ID, which must be there but need not name a volume.
func checkID(field, id string) error {
	switch {
	case id == "":
		return state.Errorf(state.Invalid, "%s is missing", field)
	case len(id) > state.MaxIDBytes:
		return state.Errorf(state.Invalid, "%s is %s; it takes at most %d bytes", field, state.Quote(id), state.MaxIDBytes)
	}
	return nil
}

// size is a capacity range (CSI: CapacityRange), in bytes; most is 0 for no limit.
type size struct{ least, most int64 }

// defaultSize is what a volume gets if no size was asked for.
const defaultSize = 1 << 30

func parseSize(r *csi.CapacityRange) (size, error) {
	s := size{r.GetRequiredBytes(), r.GetLimitBytes()}
	switch {
	case s.least < 0:
		return s, state.Errorf(state.Invalid, "capacity_range.required_bytes is %d; it takes 0 or more", s.least)
	case s.most < 0:
		return s, state.Errorf(state.Invalid, "capacity_range.limit_bytes is %d; it takes 0 or more", s.most)
	case s.most > 0 && s.most < s.least:
		return s, state.Errorf(state.Invalid, "capacity_range.limit_bytes is %d, less than required_bytes %d", s.most, s.least)
	}
	return s, nil
}

// choose is the size for a new volume.
func (s size) choose() int64 {
	switch {
	case s.least > 0:
		return s.least
	case s.most > 0:
		return min(s.most, defaultSize)
	}
	return defaultSize
}

// blockUnit divides the size of a block volume, in bytes.
const blockUnit = 4096

// inBlocks is the size for a block volume: what choose says, rounded up, or down to the
// limit where no more than that was asked for.
func (s size) inBlocks() (int64, error) {
	if s.least > math.MaxInt64-blockUnit {
		return 0, state.Errorf(state.OutOfRange, "capacity_range.required_bytes is %d, more than any disk has", s.least)
	}
	bytes := (s.choose() + blockUnit - 1) / blockUnit * blockUnit
	if s.most > 0 && bytes > s.most {
		bytes = s.most / blockUnit * blockUnit
	}
	if bytes < max(s.least, blockUnit) {
		return 0, state.Errorf(state.OutOfRange, "capacity_range asks for %d to %d bytes; a block volume has a multiple of %d", s.least, s.most, blockUnit)
	}
	return bytes, nil
}

// holds tells whether a volume of that many bytes is what was asked for.
func (s size) holds(bytes int64) bool {
	return bytes >= s.least && (s.most == 0 || bytes <= s.most)
}

// access is what a capability asks for.
type access struct {
	kind      state.AccessType
	options   mount.Options
	fsType    string
	readOnly  bool // the access mode allows reading only
	exclusive bool // one target path at a time
	group     int  // that the volume is given to; noGroup: to none
}

// parseCapability checks one capability. Invalid if no CO may ask so,
// Incompatible if this driver does not serve it.
func parseCapability(c *csi.VolumeCapability) (access, error) {
	a := access{group: noGroup}
	switch t := c.GetAccessType().(type) {
	case *csi.VolumeCapability_Mount:
		a.kind, a.fsType = state.MountAccess, t.Mount.GetFsType()
		var err error
		if a.options, err = mount.ParseFlags(t.Mount.GetMountFlags()); err != nil {
			return a, fmt.Errorf("volume_capability.mount.mount_flags: %w", err)
		}
		if a.group, err = parseGroup(t.Mount.GetVolumeMountGroup()); err != nil {
			return a, err
		}
	case *csi.VolumeCapability_Block:
		a.kind = state.BlockAccess
	default:
		return a, state.Errorf(state.Invalid, "volume_capability.access_type is missing; it takes mount or block")
	}
	switch mode := c.GetAccessMode().GetMode(); mode {
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER, csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER:
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER:
		a.exclusive = true
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY:
		a.readOnly = true
	case csi.VolumeCapability_AccessMode_UNKNOWN:
		return a, state.Errorf(state.Invalid, "volume_capability.access_mode is missing")
	default:
		return a, state.Errorf(state.Incompatible, "volume_capability.access_mode is %s; a volume lies on the disk of one node, so only SINGLE_NODE_* modes can be had", mode)
	}
	return a, nil
}

// parseCapabilities checks the capabilities that a volume shall have all at once.
func parseCapabilities(caps []*csi.VolumeCapability) (state.AccessType, []access, error) {
	if len(caps) == 0 {
		return "", nil, state.Errorf(state.Invalid, "volume_capabilities is missing; it takes at least one")
	}
	all := make([]access, 0, len(caps))
	for _, c := range caps {
		a, err := parseCapability(c)
		if err != nil {
			return "", nil, err
		}
		if len(all) > 0 && a.kind != all[0].kind {
			return "", nil, state.Errorf(state.Invalid, "volume_capabilities ask for mount and block access; a volume has one of them")
		}
		all = append(all, a)
	}
	return all[0].kind, all, nil
}

// CheckNodeID checks a node's name in CSI: what TopologyKey can take as a value,
// since it is one.
func CheckNodeID(id string) error {
	if !nodeID.MatchString(id) {
		return state.Errorf(state.Invalid, "the node ID is %s; it takes 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit first and last", state.Quote(id))
	}
	return nil
}

var nodeID = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
