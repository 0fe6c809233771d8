package kube

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// call makes one request, which takes no longer than callTimeout.
func call(ctx context.Context, what string, request func(context.Context) error) error {
	within, cancel := context.WithTimeoutCause(ctx, callTimeout, errSlow)
	defer cancel()
	if err := request(within); err != nil {
		return failure(ctx, what, err)
	}
	return nil
}

// failure gives an error of a request made under ctx its reason.
func failure(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return state.Errorf(state.ReasonOf(ctx.Err()), "%s: %w", what, err)
	}
	return state.Errorf(reasonOf(err), "%s: %w", what, err)
}

// reasonOf maps what the API server answered, or that it did not.
func reasonOf(err error) state.Reason {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return state.Unavailable // no answer: refused, reset, cut off, too slow
	}
	switch code := status.Status().Code; {
	case apierrors.IsAlreadyExists(err):
		return state.AlreadyExists // 409, as is a conflict
	case code == http.StatusNotFound, code == http.StatusGone:
		return state.NotFound
	case code == http.StatusConflict:
		return state.Busy
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		// A token that is being renewed, a role that is not bound yet: later is
		// another matter, and the message says what is missing.
		return state.Unavailable
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= http.StatusInternalServerError:
		return state.Unavailable
	}
	return state.Defect
}
