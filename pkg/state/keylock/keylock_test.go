package keylock

import (
	"context"
	"testing"
)

func TestALockIsWaitedForNoLongerThanTheContext(t *testing.T) {
	var l Locks
	unlock, err := l.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Lock(ctx, "a"); err == nil {
		t.Error("two hold one lock")
	}
	other, err := l.Lock(t.Context(), "b")
	if err != nil {
		t.Error("a lock is held under another name")
	}
	other()
	unlock()
	if len(l.locks) != 0 {
		t.Errorf("left: %d locks", len(l.locks))
	}
}
