package state

import (
	"context"
	"errors"
	"fmt"
)

// Reason says in one word why something could not be done. It travels in errors
// and, between controller and agent, in a record's Status. The gRPC code that a
// CSI client sees for it is decided in one place only: driver/errors.go.
type Reason string

// The reasons. Every one of them has a gRPC code.
const (
	// Invalid: an argument is wrong, whatever the state of the world.
	Invalid Reason = "Invalid"
	// NotFound: there is no such volume, snapshot, node or source.
	NotFound Reason = "NotFound"
	// AlreadyExists: the name is taken by something that was asked for otherwise.
	AlreadyExists Reason = "AlreadyExists"
	// OutOfRange: no pool could ever give this size.
	OutOfRange Reason = "OutOfRange"
	// NoSpace: this pool has no room now; another may.
	NoSpace Reason = "NoSpace"
	// NotReady: this node's agent or pool cannot work now; another may.
	NotReady Reason = "NotReady"
	// InUse: the volume is published, or something still needs it.
	InUse Reason = "InUse"
	// Busy: the same volume is being worked on.
	Busy Reason = "Busy"
	// Unsupported: this pool or kernel cannot do what was asked.
	Unsupported Reason = "Unsupported"
	// Incompatible: what was asked for does not fit what the volume is.
	Incompatible Reason = "Incompatible"
	// BadToken: a page token that this driver did not give out.
	BadToken Reason = "BadToken"
	// Lost: the volume's data is not where it was.
	Lost Reason = "Lost"
	// Corrupt: a record does not read back as it was written.
	Corrupt Reason = "Corrupt"
	// Unavailable: the store cannot be reached.
	Unavailable Reason = "Unavailable"
	// TimedOut: the deadline came first; the work goes on.
	TimedOut Reason = "TimedOut"
	// Canceled: the caller went away; the work goes on.
	Canceled Reason = "Canceled"
	// Defect: a fault of this program, or of the disk below it.
	Defect Reason = "Defect"
)

// Reasons lists every Reason there is.
func Reasons() []Reason {
	return []Reason{Invalid, NotFound, AlreadyExists, OutOfRange, NoSpace, NotReady, InUse, Busy,
		Unsupported, Incompatible, BadToken, Lost, Corrupt, Unavailable, TimedOut, Canceled, Defect}
}

// Error is a failure with a Reason. Its text is that of the error it wraps.
type Error struct {
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap makes errors.Is and errors.As see what was wrapped.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error with a Reason. A %w keeps the wrapped error's identity;
// r is then the outermost Reason.
func Errorf(r Reason, format string, args ...any) error {
	return &Error{Reason: r, Err: fmt.Errorf(format, args...)}
}

// ReasonOf returns the outermost Reason in err: "" for nil, TimedOut and Canceled
// for a context that ended, and Defect for an error that gives none.
func ReasonOf(err error) Reason {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Reason
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Defect
}
