package quota

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Enforced returns nil while the filesystem counts projects and enforces their limits,
// and otherwise Unsupported with the remedy. It costs one system call.
func (f *Filesystem) Enforced() error {
	st := quotaState{Version: stateVersion}
	err := quotactl(f.root, qXGetStateV, 0, &st)
	switch {
	case err == nil && st.Flags&projectEnforced != 0:
		return nil
	case err == nil, errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESRCH):
		// ENOSYS: no quota is on, or the filesystem knows of none; EINVAL: none of projects.
		return f.remedy(st.Flags&projectAccounted != 0)
	}
	return fmt.Errorf("asking for the state of project quota (this needs CAP_SYS_ADMIN): %w", err)
}

// remedy tells what to do about limits that are not enforced.
func (f *Filesystem) remedy(accounted bool) error {
	if !hasQuotactlFD() {
		return state.Errorf(state.Unsupported, "project quota needs Linux 5.14 or later: this kernel has no quotactl_fd (or a seccomp profile denies it)")
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.root.Fd()), &st); err != nil {
		return fmt.Errorf("statfs: %w", err)
	}
	const off = "the filesystem does not enforce project quota: "
	switch {
	case st.Type == unix.XFS_SUPER_MAGIC:
		return state.Errorf(state.Unsupported, off+"unmount it and mount it with `-o prjquota` (a remount does not do; for the root filesystem boot with rootflags=prjquota)")
	case st.Type == unix.EXT4_SUPER_MAGIC && accounted:
		return state.Errorf(state.Unsupported, off+"it counts but does not limit: unmount it and mount it with `-o prjquota` (for the root filesystem boot with rootflags=prjquota)")
	case st.Type == unix.EXT4_SUPER_MAGIC:
		return state.Errorf(state.Unsupported, off+"format it with `mkfs.ext4 -O quota,project -E quotatype=usrquota:grpquota:prjquota`, "+
			"or unmount it and run `tune2fs -O project -Q prjquota` on its device; then mount it with `-o prjquota`")
	}
	return state.Errorf(state.Unsupported, "filesystems of type %#x have no project quota: use XFS mounted with `-o prjquota`, or ext4 with the features quota and project", uint32(st.Type))
}
