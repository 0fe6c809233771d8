package tree

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var (
	// errStopped ends a worker that found the copy ended; it is never the first
	// error.
	errStopped = errors.New("the copy has ended")
	// errGone: the source's directory is not where it was.
	errGone = errors.New("moved or removed meanwhile")
	// errWithin: the copy would be copied, without end.
	errWithin = errors.New("the destination lies in the source")
)

// failed says which entry of the source could not be copied, and why. An empty name
// means the directory itself.
func (c *copier) failed(d *dir, name, op string, err error) error {
	if errors.Is(err, errStopped) {
		return err
	}
	return state.Errorf(reason(err), "copying %s: %s: %w", state.Quote(d.path(name)), op, err)
}

func reason(err error) state.Reason {
	var told *state.Error
	var errno unix.Errno
	switch {
	case errors.As(err, &told):
		return told.Reason
	case !errors.As(err, &errno):
		return state.Defect
	}
	switch errno {
	case unix.ENOSPC, unix.EDQUOT:
		return state.NoSpace
	case unix.EOPNOTSUPP, unix.EFBIG, unix.ENAMETOOLONG, unix.EMLINK, unix.E2BIG, unix.ENOSYS:
		return state.Unsupported
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		return state.Unavailable
	}
	return state.Defect
}

// vanished tells whether a name that was there could not be opened because it is
// not any more, or as something else.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
