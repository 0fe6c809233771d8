package pebble

import (
	"context"
	"slices"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAQueueKeepsTheOrderOfFirstAppearance(t *testing.T) {
	w := &watcher{filled: make(chan struct{}, 1), latest: make(map[string]change)}
	for i, id := range []string{"b", "a", "b", "c", "a", "b"} {
		w.put(id, change{key: id, value: []byte{byte(i)}})
	}
	var keys []string
	var values []byte
	for {
		c, ok := w.take()
		if !ok {
			break
		}
		keys, values = append(keys, c.key), append(values, c.value...)
	}
	if !slices.Equal(keys, []string{"b", "a", "c"}) || !slices.Equal(values, []byte{5, 4, 3}) {
		t.Errorf("got %v with %v", keys, values)
	}
}

func TestSubscriptionsLeaveNothingBehind(t *testing.T) {
	var n notifier[state.VolumeSpec, state.VolumeStatus]
	_, stopFirst := n.wake("a")
	_, stopSecond := n.wake("a")
	stopFirst()
	stopSecond()
	ctx, cancel := context.WithCancel(t.Context())
	events := n.watch(ctx)
	cancel()
	for range events {
	}
	n.pumps.Wait()
	if len(n.wakers) != 0 || len(n.watchers) != 0 {
		t.Errorf("left: %d wakers, %d watchers", len(n.wakers), len(n.watchers))
	}
	n.watch(t.Context())
	n.close() // waits for the goroutine of the watch
}

func TestALockIsWaitedForNoLongerThanTheContext(t *testing.T) {
	var l keyLocks
	unlock, err := l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ctx, "a"); err == nil {
		t.Error("two hold one lock")
	}
	other, err := l.lock(t.Context(), "b")
	if err != nil {
		t.Error("a lock is held under another name")
	}
	other()
	unlock()
	if len(l.locks) != 0 {
		t.Errorf("left: %d locks", len(l.locks))
	}
}
