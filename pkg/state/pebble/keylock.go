package pebble

import (
	"context"
	"sync"
)

// keyLocks are locks by name. They exist while somebody holds or wants them.
type keyLocks struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	free  chan struct{} // holds one token while nobody holds the lock
	users int           // those who hold or want it
}

// lock waits for the lock of key, but not longer than ctx, and returns what gives
// it back.
func (l *keyLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	lock := l.join(key)
	select {
	case <-lock.free:
		return func() { lock.free <- struct{}{}; l.leave(key, lock) }, nil
	case <-ctx.Done():
		l.leave(key, lock)
		return nil, ctx.Err()
	}
}

func (l *keyLocks) join(key string) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock := l.locks[key]
	if lock == nil {
		if l.locks == nil {
			l.locks = make(map[string]*keyLock)
		}
		lock = &keyLock{free: make(chan struct{}, 1)}
		lock.free <- struct{}{}
		l.locks[key] = lock
	}
	lock.users++
	return lock
}

func (l *keyLocks) leave(key string, lock *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lock.users--; lock.users == 0 {
		delete(l.locks, key)
	}
}
