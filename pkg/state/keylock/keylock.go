// Package keylock is locks by name: what stores use so that calls for one record come
// one after the other, and calls for different records do not meet.
package keylock

import (
	"context"
	"sync"
)

// Locks are locks by name. They exist while somebody holds or wants them. The zero
// value is ready for use.
type Locks struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	free  chan struct{} // holds one token while nobody holds the lock
	users int           // those who hold or want it
}

// Lock waits for the lock of key, but not longer than ctx, and returns what gives
// it back.
func (l *Locks) Lock(ctx context.Context, key string) (unlock func(), err error) {
	lock := l.join(key)
	select {
	case <-lock.free:
		return func() { lock.free <- struct{}{}; l.leave(key, lock) }, nil
	case <-ctx.Done():
		l.leave(key, lock)
		return nil, ctx.Err()
	}
}

func (l *Locks) join(key string) *keyLock {
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

func (l *Locks) leave(key string, lock *keyLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lock.users--; lock.users == 0 {
		delete(l.locks, key)
	}
}
