package mount

import (
	"context"
	"sync"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// keyLock is a set of locks, one for each key in use. Its zero value is ready.
type keyLock struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the key is free
}

// try takes the key if it is free; otherwise freed is closed when it may be.
func (l *keyLock) try(key string) (release func(), freed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch, ok := l.held[key]; ok {
		return nil, ch
	}
	if l.held == nil {
		l.held = map[string]chan struct{}{}
	}
	ch := make(chan struct{})
	l.held[key] = ch
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, key)
		close(ch)
	}, nil
}

// take waits for the key as long as ctx lasts.
func (l *keyLock) take(ctx context.Context, what, key string) (release func(), err error) {
	for {
		release, freed := l.try(key)
		if release != nil {
			return release, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, state.Errorf(state.Busy, "%s %s is being worked on: %w", what, state.Quote(key), ctx.Err())
		}
	}
}
