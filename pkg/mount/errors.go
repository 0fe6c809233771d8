package mount

import (
	"errors"

	"golang.org/x/sys/unix"
	mountutils "k8s.io/mount-utils"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// targetError gives a failure of the kernel at a target its Reason.
func targetError(target string, err error) error {
	at := state.Quote(target)
	switch {
	case errors.Is(err, unix.ELOOP):
		return state.Errorf(state.Invalid, "target_path: got %s, which has a symbolic link in it; "+
			"it takes a path without, except in the path of a trusted root: %w", at, err)
	case errors.Is(err, unix.ENOTDIR):
		return state.Errorf(state.Invalid, "target_path: got %s, which has something in it that is not a directory: %w", at, err)
	case errors.Is(err, unix.ENAMETOOLONG):
		return state.Errorf(state.Invalid, "target_path: got %s, which is too long: %w", at, err)
	case errors.Is(err, unix.EXDEV):
		return state.Errorf(state.InUse, "target_path %s: something was mounted there at this instant: %w", at, err)
	case errors.Is(err, unix.ENOENT):
		return state.Errorf(state.Busy, "target_path %s: the directory vanishes as soon as it is made: %w", at, err)
	}
	return state.Errorf(reasonOf(err), "target_path %s: %w", at, err)
}

// reasonOf tells what a node lacks from a defect. A Reason that err has stays.
func reasonOf(err error) state.Reason {
	if e := (*state.Error)(nil); errors.As(err, &e) {
		return e.Reason
	}
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, e) {
			return state.NotReady
		}
	}
	// A filesystem that was shut down, or whose disk or server is gone.
	if e := unix.Errno(0); errors.As(err, &e) && e != unix.EACCES && mountutils.IsCorruptedMnt(e) {
		return state.NotReady
	}
	for _, e := range []error{unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM} {
		if errors.Is(err, e) {
			return state.Unsupported
		}
	}
	return state.Defect
}
