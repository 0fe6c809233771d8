package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// CheckKernel returns an error with Reason Unsupported if this process cannot
// publish anything here: the kernel is older than Linux 5.12, or does not let it.
func CheckKernel() error {
	// mount_setattr is the newest of the calls that are needed, and one that
	// changes nothing succeeds without looking at its path.
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{})
	return kernelVerdict(err, release())
}

func kernelVerdict(err error, release string) error {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return state.Errorf(state.Unsupported, "publishing volumes needs Linux 5.12 or newer (mount_setattr); this is Linux %s: %w", release, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return state.Errorf(state.Unsupported, "publishing volumes needs the capability CAP_SYS_ADMIN and a seccomp profile that lets "+
			"mount_setattr pass (a privileged container has both); this process, on Linux %s, has not: %w", release, err)
	}
	return nil
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown version"
	}
	return unix.ByteSliceToString(u.Release[:])
}
