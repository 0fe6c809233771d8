package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func notReady(format string, args ...any) error { return state.Errorf(state.NotReady, format, args...) }

// option is a mount option: a flag, which may be left out where the kernel does not know
// it, if it says so.
type option struct {
	name     string
	optional string // why it may be left out; "": it may not
}

// mounted is what is mounted somewhere.
type mounted struct {
	at, kind, source string
	major, minor     uint32 // of the block device, as far as it is known
}

// mountedAt returns what is mounted at an open directory; nil if nothing is.
func mountedAt(point *os.File, at string) (*mounted, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(point.Fd()), "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil {
		return nil, notReady("statx of %s: %w", at, err)
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return nil, nil
	}
	all, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return uint64(i.ID) != st.Mnt_id, uint64(i.ID) == st.Mnt_id })
	if err != nil {
		return nil, notReady("what is mounted at %s: %w", at, err)
	}
	if len(all) != 1 {
		return nil, notReady("what is mounted at %s changes while it is looked at", at)
	}
	m := &mounted{at: at, kind: all[0].FSType, source: all[0].Source, major: uint32(all[0].Major), minor: uint32(all[0].Minor)}
	if m.major == 0 { // btrfs has a device number of its own
		var dev unix.Stat_t
		if err := unix.Stat(m.source, &dev); err == nil && dev.Mode&unix.S_IFMT == unix.S_IFBLK {
			m.major, m.minor = unix.Major(dev.Rdev), unix.Minor(dev.Rdev)
		}
	}
	return m, nil
}

// mustBe returns nil if what is mounted is what the source has.
func (m *mounted) mustBe(d Disk, s source) error {
	same, err := s.is(m.major, m.minor)
	if err != nil {
		return notReady("%s: %w", d, err)
	}
	if !same || m.kind != d.Filesystem {
		return notReady("%s (%s) is mounted at %s, where %s with %s is to be: unmount that, or declare the pool as it is", m.source, m.kind, m.at, d, d.Filesystem)
	}
	return nil
}

// mountOnto mounts a device on an open directory.
func mountOnto(point *os.File, kind, device string, options []option) error {
	for {
		err := tryMount(point, kind, device, options)
		if err == nil || !errors.Is(err, unix.EINVAL) {
			return err
		}
		// The kernel does not say which option it did not know.
		kept := required(options)
		if len(kept) == len(options) {
			return err
		}
		options = kept
	}
}

func required(all []option) (kept []option) {
	for _, o := range all {
		if o.optional == "" {
			kept = append(kept, o)
		}
	}
	return kept
}

func tryMount(point *os.File, kind, device string, options []option) error {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("this kernel has no %s (is its module there?): %w", kind, err)
	}
	if err != nil {
		return fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "source", device); err != nil {
		return explained(fs, err)
	}
	for _, o := range options {
		if err := unix.FsconfigSetFlag(fs, o.name); err != nil {
			return explained(fs, fmt.Errorf("option %s: %w", o.name, err))
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return explained(fs, err)
	}
	m, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return explained(fs, err)
	}
	defer unix.Close(m) // which dissolves it if it was not moved
	if err := unix.MoveMount(m, "", int(point.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// explained adds what the filesystem says about an error.
func explained(fs int, err error) error {
	var said []string
	buf := make([]byte, 1024)
	for range 16 {
		n, rerr := unix.Read(fs, buf)
		if rerr != nil || n <= 0 {
			break
		}
		said = append(said, strings.TrimSpace(string(buf[:n])))
	}
	if len(said) == 0 {
		return fmt.Errorf("%w (the kernel's log may tell more)", err)
	}
	return fmt.Errorf("%w: %s", err, strings.Join(said, "; "))
}
