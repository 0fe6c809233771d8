package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// stopwatch times many things that go on at once, each by its name.
type stopwatch struct {
	mu       sync.Mutex
	from, to map[string]time.Time
}

func newStopwatch() *stopwatch {
	return &stopwatch{from: map[string]time.Time{}, to: map[string]time.Time{}}
}

func (s *stopwatch) start(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from[name] = time.Now()
}

// stop takes the time, the first time if it is told again.
func (s *stopwatch) stop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.to[name]; !ok {
		s.to[name] = time.Now()
	}
}

// stopped is how many have been stopped.
func (s *stopwatch) stopped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.to)
}

// later has each thing stop when it was stopped by both stopwatches.
func (s *stopwatch) later(other *stopwatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	other.mu.Lock()
	defer other.mu.Unlock()
	for name, to := range other.to {
		if to.After(s.to[name]) {
			s.to[name] = to
		}
	}
}

// times are how long each took, and how long all took together, from the first start.
func (s *stopwatch) times() (each []time.Duration, all time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var first, last time.Time
	for name, from := range s.from {
		to := s.to[name]
		each = append(each, to.Sub(from))
		if first.IsZero() || from.Before(first) {
			first = from
		}
		if to.After(last) {
			last = to
		}
	}
	return each, last.Sub(first)
}

// watched is a kind of objects, of which there is a list.
type watched[L metav1.ListInterface] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

// changesOf watches objects from now on. Where the API server ends the watch, which it does on a
// busy machine, another goes on from there.
func changesOf[L metav1.ListInterface](ctx context.Context, objects watched[L]) (watch.Interface, error) {
	now, err := objects.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	return watchtools.NewRetryWatcherWithContext(ctx, now.GetResourceVersion(), &cache.ListWatch{WatchFuncWithContext: objects.Watch})
}

// follow reads a watch until it has stopped n of what the stopwatch times. Each object is told
// to is, which names what has come to its end with this change ("": nothing).
func follow(ctx context.Context, w watch.Interface, times *stopwatch, n int, is func(watch.Event) string) error {
	for times.stopped() < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d were seen: %w", times.stopped(), n, context.Cause(ctx))
		case change, ok := <-w.ResultChan():
			if !ok && ctx.Err() != nil {
				return fmt.Errorf("%d of %d were seen: %w", times.stopped(), n, context.Cause(ctx))
			}
			if !ok {
				return fmt.Errorf("%d of %d were seen when the watch ended", times.stopped(), n)
			}
			if change.Type == watch.Error {
				return fmt.Errorf("%d of %d were seen when the watch failed: %v", times.stopped(), n, change.Object)
			}
			if name := is(change); name != "" {
				times.stop(name)
			}
		}
	}
	return nil
}

// meanwhile follows a watch while do goes on, and then until all has come.
func meanwhile(ctx context.Context, w watch.Interface, times *stopwatch, n int, is func(watch.Event) string, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	followed := make(chan error, 1)
	go func() {
		err := follow(ctx, w, times, n, is)
		if err != nil {
			cancel(err)
		}
		followed <- err
	}()
	if err := do(ctx); err != nil {
		cancel(err)
		<-followed
		return err
	}
	return <-followed
}

// isBound names a claim that is bound.
func isBound(change watch.Event) string {
	if claim, ok := change.Object.(*corev1.PersistentVolumeClaim); ok && claim.Status.Phase == corev1.ClaimBound {
		return claim.Name
	}
	return ""
}

// isReady names a pod that is ready.
func isReady(change watch.Event) string {
	pod, ok := change.Object.(*corev1.Pod)
	if !ok {
		return ""
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return pod.Name
		}
	}
	return ""
}

// isGone names what has ended.
func isGone(change watch.Event) string {
	if change.Type != watch.Deleted {
		return ""
	}
	object, err := meta.Accessor(change.Object)
	if err != nil {
		return ""
	}
	return object.GetName()
}
