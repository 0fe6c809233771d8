package driver

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// codeOf is the only place where a Reason becomes a gRPC code. The callers act on
// the code: external-provisioner has a pod scheduled anew on ResourceExhausted,
// takes InvalidArgument for final, and asks again after all that may pass.
var codeOf = map[state.Reason]codes.Code{
	state.Invalid:       codes.InvalidArgument,
	state.NotFound:      codes.NotFound,
	state.AlreadyExists: codes.AlreadyExists,
	state.OutOfRange:    codes.OutOfRange,
	state.NoSpace:       codes.ResourceExhausted,
	state.NotReady:      codes.ResourceExhausted,
	state.InUse:         codes.FailedPrecondition,
	state.Incompatible:  codes.FailedPrecondition,
	state.Busy:          codes.Aborted,
	state.BadToken:      codes.Aborted,
	state.Unsupported:   codes.InvalidArgument,
	state.Lost:          codes.DataLoss,
	state.Corrupt:       codes.DataLoss,
	state.Unavailable:   codes.Unavailable,
	state.TimedOut:      codes.DeadlineExceeded,
	state.Canceled:      codes.Canceled,
	state.Defect:        codes.Internal,
}

// toStatus makes the error that a client sees. An error that is a gRPC status
// already (Unimplemented) stays what it is.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code, ok := codeOf[state.ReasonOf(err)]
	if !ok {
		code = codes.Internal
	}
	return status.Error(code, err.Error())
}

// ofExisting is for errors about a volume that there is: that its pool is not ready
// means "later" then, not "elsewhere", since no other node will do.
func ofExisting(err error) error {
	if state.ReasonOf(err) == state.NotReady {
		return state.Errorf(state.Unavailable, "%w", err)
	}
	return err
}
