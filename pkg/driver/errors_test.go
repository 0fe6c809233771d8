package driver

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestEveryReasonHasACode(t *testing.T) {
	want := map[state.Reason]codes.Code{
		state.Invalid: codes.InvalidArgument, state.NotFound: codes.NotFound, state.AlreadyExists: codes.AlreadyExists,
		state.OutOfRange: codes.OutOfRange, state.NoSpace: codes.ResourceExhausted, state.NotReady: codes.ResourceExhausted,
		state.InUse: codes.FailedPrecondition, state.Incompatible: codes.FailedPrecondition, state.Busy: codes.Aborted,
		state.BadToken: codes.Aborted, state.Unsupported: codes.InvalidArgument, state.Lost: codes.DataLoss,
		state.Corrupt: codes.DataLoss, state.Unavailable: codes.Unavailable, state.TimedOut: codes.DeadlineExceeded,
		state.Canceled: codes.Canceled, state.Defect: codes.Internal,
	}
	for _, r := range state.Reasons() {
		err := fmt.Errorf("outer: %w", state.Errorf(r, "what happened"))
		got := toStatus(err)
		if status.Code(got) != want[r] {
			t.Errorf("%s becomes %s, want %s", r, status.Code(got), want[r])
		}
		if status.Convert(got).Message() != "outer: what happened" {
			t.Errorf("%s loses its message: %q", r, status.Convert(got).Message())
		}
	}
	if len(codeOf) != len(state.Reasons()) || len(want) != len(state.Reasons()) {
		t.Errorf("%d codes and %d expectations for %d reasons", len(codeOf), len(want), len(state.Reasons()))
	}
}

func TestOtherErrorsBecomeStatuses(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want codes.Code
	}{
		"success":                        {nil, codes.OK},
		"a status stays what it is":      {status.Error(codes.Unimplemented, "no"), codes.Unimplemented},
		"a deadline":                     {fmt.Errorf("waiting: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		"a caller who went":              {fmt.Errorf("waiting: %w", context.Canceled), codes.Canceled},
		"an error that gives no reason":  {fmt.Errorf("disk on fire"), codes.Internal},
		"the outermost reason counts":    {state.Errorf(state.Unavailable, "%w", state.Errorf(state.NotReady, "x")), codes.Unavailable},
		"a reason nobody has heard of":   {state.Errorf("Unheard", "x"), codes.Internal},
		"a reason wrapped by fmt.Errorf": {fmt.Errorf("a: %w", fmt.Errorf("b: %w", state.Errorf(state.InUse, "c"))), codes.FailedPrecondition},
	} {
		if got := status.Code(toStatus(c.err)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestWhatIsWrongWithAnExistingVolumesPoolPasses(t *testing.T) {
	if got := status.Code(toStatus(ofExisting(fmt.Errorf("deleting: %w", state.Errorf(state.NotReady, "no disk"))))); got != codes.Unavailable {
		t.Errorf("a pool that is not ready: %s", got)
	}
	if got := status.Code(toStatus(ofExisting(state.Errorf(state.NoSpace, "full")))); got != codes.ResourceExhausted {
		t.Errorf("a pool that is full: %s", got)
	}
	if ofExisting(nil) != nil {
		t.Error("success becomes an error")
	}
}
