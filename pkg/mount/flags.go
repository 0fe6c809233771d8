package mount

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// attrs is a set of mount attributes, as mount_setattr(2) numbers them.
type attrs uint64

// Options are the mount flags of one publish. The zero value asks for a writable
// mount whose other flags are those of the pool's own mount. Options are comparable.
type Options struct {
	// ReadOnly makes the volume read-only at this target.
	ReadOnly bool

	asked attrs // the groups of attributes that are decided here
	value attrs // their values; a subset of asked
}

// flag is a name for a value of a group of attributes. All groups but that of the
// access time are single bits, for which 0 is the kernel's default.
type flag struct {
	name         string
	group, value attrs
}

// flags is what ParseFlags takes. Where two names have one meaning, the first is
// the one that is printed.
var flags = []flag{
	{"rw", unix.MOUNT_ATTR_RDONLY, 0},
	{"ro", unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{"suid", unix.MOUNT_ATTR_NOSUID, 0},
	{"nosuid", unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{"dev", unix.MOUNT_ATTR_NODEV, 0},
	{"nodev", unix.MOUNT_ATTR_NODEV, unix.MOUNT_ATTR_NODEV},
	{"exec", unix.MOUNT_ATTR_NOEXEC, 0},
	{"noexec", unix.MOUNT_ATTR_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{"symfollow", unix.MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"nosymfollow", unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MOUNT_ATTR_NOSYMFOLLOW},
	{"diratime", unix.MOUNT_ATTR_NODIRATIME, 0},
	{"nodiratime", unix.MOUNT_ATTR_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{"relatime", unix.MOUNT_ATTR__ATIME, unix.MOUNT_ATTR_RELATIME},
	// As in mount(8): the kernel's default, which is relatime.
	{"atime", unix.MOUNT_ATTR__ATIME, unix.MOUNT_ATTR_RELATIME},
	{"noatime", unix.MOUNT_ATTR__ATIME, unix.MOUNT_ATTR_NOATIME},
	{"strictatime", unix.MOUNT_ATTR__ATIME, unix.MOUNT_ATTR_STRICTATIME},
	{"bind", 0, 0}, // every publish is one
}

// ParseFlags reads CSI's mount_flags, one flag to an entry. A flag may be given
// twice, but not together with its contrary. The Reason of an error is Invalid; its
// text names the flag but never the value of a "key=value", which may be secret.
func ParseFlags(names []string) (Options, error) {
	var o Options
	by := map[attrs]flag{}
	for _, name := range names {
		f, ok := flagNamed(name)
		if !ok {
			return Options{}, unknownFlag(name)
		}
		if f.group == 0 {
			continue
		}
		if before, ok := by[f.group]; ok && before.value != f.value {
			return Options{}, state.Errorf(state.Invalid, "mount_flags: got both %q and %q, which contradict each other",
				before.name, f.name)
		}
		by[f.group] = f
		if f.group == unix.MOUNT_ATTR_RDONLY {
			o.ReadOnly = f.value != 0
			continue // "rw" says no more than saying nothing
		}
		o.asked |= f.group
		o.value |= f.value
	}
	return o, nil
}

func flagNamed(name string) (flag, bool) {
	for _, f := range flags {
		if f.name == name {
			return f, true
		}
	}
	return flag{}, false
}

func unknownFlag(name string) error {
	if strings.Contains(name, ",") {
		return state.Errorf(state.Invalid, "mount_flags: got an entry with a comma in it; it takes one flag to an entry")
	}
	if key, _, ok := strings.Cut(name, "="); ok {
		name = key + "=..."
	}
	known := make([]string, len(flags))
	for i, f := range flags {
		known[i] = f.name
	}
	return state.Errorf(state.Invalid, "mount_flags: got %s; it takes %s", state.Quote(name), strings.Join(known, ", "))
}

// String lists the flags as ParseFlags would take them, joined by commas.
func (o Options) String() string {
	return describe(o.asked|unix.MOUNT_ATTR_RDONLY, o.merged())
}

// merged is value with ReadOnly in it.
func (o Options) merged() attrs {
	if o.ReadOnly {
		return o.value | unix.MOUNT_ATTR_RDONLY
	}
	return o.value
}

// change tells what to set and to clear on the clone of the pool's mount. A clone
// of a read-only mount stays so: Publish refuses to call that writable.
func (o Options) change() (set, clr attrs) {
	return o.merged(), o.asked
}

// met tells whether a mount with the attributes actual is what these options
// would make of the pool's mount with the attributes pool, or would have made of
// it when it had no flags.
func (o Options) met(actual, pool attrs) bool {
	for _, f := range flags {
		g := f.group
		switch {
		case g == unix.MOUNT_ATTR_RDONLY || g&o.asked != 0:
			if actual&g != o.merged()&g {
				return false
			}
		case actual&g != 0 && actual&g != pool&g:
			return false
		}
	}
	return true
}

// describe names the values of some groups of attributes.
func describe(groups, value attrs) string {
	var names []string
	done := attrs(0)
	for _, f := range flags {
		if f.group&groups != 0 && f.group&done == 0 && value&f.group == f.value {
			names = append(names, f.name)
			done |= f.group
		}
	}
	return strings.Join(names, ",")
}

// describeAll names the values of all groups.
func describeAll(value attrs) string { return describe(^attrs(0), value) }

// mountFlags pairs the bits of statfs(2)'s f_flags with attributes. Relatime is the
// attribute 0, and the absence of both access time flags is strictatime.
var mountFlags = []struct {
	st   int64
	attr attrs
}{
	{unix.ST_RDONLY, unix.MOUNT_ATTR_RDONLY},
	{unix.ST_NOSUID, unix.MOUNT_ATTR_NOSUID},
	{unix.ST_NODEV, unix.MOUNT_ATTR_NODEV},
	{unix.ST_NOEXEC, unix.MOUNT_ATTR_NOEXEC},
	{unix.ST_NODIRATIME, unix.MOUNT_ATTR_NODIRATIME},
	{stNoSymFollow, unix.MOUNT_ATTR_NOSYMFOLLOW},
	{unix.ST_NOATIME, unix.MOUNT_ATTR_NOATIME},
}

// stNoSymFollow is ST_NOSYMFOLLOW of linux/statfs.h.
const stNoSymFollow = 0x2000

// fromStatfs translates statfs(2)'s f_flags. RDONLY is set if the mount or its
// filesystem is read-only; all others are the mount's own.
func fromStatfs(f int64) attrs {
	var a attrs
	for _, m := range mountFlags {
		if f&m.st != 0 {
			a |= m.attr
		}
	}
	if f&(unix.ST_NOATIME|unix.ST_RELATIME) == 0 {
		a |= unix.MOUNT_ATTR_STRICTATIME
	}
	return a
}
