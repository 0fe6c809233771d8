package notify

import (
	"context"
	"slices"
	"testing"
)

func TestAQueueKeepsTheOrderOfFirstAppearance(t *testing.T) {
	type change struct {
		id    string
		value byte
	}
	w := &watcher[change]{filled: make(chan struct{}, 1), latest: make(map[string]change)}
	for i, id := range []string{"b", "a", "b", "c", "a", "b"} {
		w.put(id, change{id, byte(i)})
	}
	var keys []string
	var values []byte
	for {
		c, ok := w.take()
		if !ok {
			break
		}
		keys, values = append(keys, c.id), append(values, c.value)
	}
	if !slices.Equal(keys, []string{"b", "a", "c"}) || !slices.Equal(values, []byte{5, 4, 3}) {
		t.Errorf("got %v with %v", keys, values)
	}
}

func TestSubscriptionsLeaveNothingBehind(t *testing.T) {
	var n Notifier[int, int]
	event := func(c int) (int, bool) { return c, true }
	_, stopFirst := n.Wake("a")
	_, stopSecond := n.Wake("a")
	stopFirst()
	stopSecond()
	ctx, cancel := context.WithCancel(t.Context())
	events := n.Watch(ctx, event)
	cancel()
	for range events {
	}
	n.pumps.Wait()
	if len(n.wakers) != 0 || len(n.watchers) != 0 {
		t.Errorf("left: %d wakers, %d watchers", len(n.wakers), len(n.watchers))
	}
	n.Watch(t.Context(), event)
	n.Close() // waits for the goroutine of the watch
}
