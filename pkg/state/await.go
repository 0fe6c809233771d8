package state

import (
	"context"
	"fmt"
)

// Await returns the record once done says so, or with what done or ctx failed
// with. It looks at once and then after every change; it subscribes before it
// looks, so that no change is missed. The end of the record is a NotFound error.
func Await[S, U any](ctx context.Context, r Records[S, U], id string, done func(Object[S, U]) (bool, error)) (Object[S, U], error) {
	woken, stop := r.Wake(id)
	defer stop()
	for {
		obj, err := r.Get(ctx, id)
		if err != nil {
			return obj, err
		}
		if ok, err := done(obj); ok || err != nil {
			return obj, err
		}
		select {
		case <-woken:
		case <-ctx.Done():
			return obj, fmt.Errorf("waiting for %q: %w", id, ctx.Err())
		}
	}
}

// AwaitGone returns nil once there is no record with this ID and UID, or with
// what done or ctx failed with. done may be nil.
func AwaitGone[S, U any](ctx context.Context, r Records[S, U], id, uid string, done func(Object[S, U]) error) error {
	_, err := Await(ctx, r, id, func(obj Object[S, U]) (bool, error) {
		if obj.UID != uid {
			return true, nil
		}
		if done == nil {
			return false, nil
		}
		return false, done(obj)
	})
	if ReasonOf(err) == NotFound {
		return nil
	}
	return err
}
