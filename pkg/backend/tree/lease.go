package tree

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// leasePatience is how long one copy waits for leases in all. The kernel takes a
// lease away 45 seconds (fs.lease-break-time) after the first attempt to open the
// file, so an honest holder of some is waited for; one who takes a lease on each of
// a million files does not occupy the copier for years.
const leasePatience = 2 * time.Minute

const leasePoll = 20 * time.Millisecond

// leases waits for other processes to give up leases on files (fcntl F_SETLEASE).
// The kernel tells them that they should when the file is opened, even if it
// refuses that for now; it tells nobody when they did. So it is asked again.
type leases struct {
	mu    sync.Mutex
	until time.Time
}

func (l *leases) wait(stop <-chan struct{}) error {
	l.mu.Lock()
	now := time.Now()
	if l.until.IsZero() {
		l.until = now.Add(leasePatience)
	}
	until := l.until
	l.mu.Unlock()
	if now.After(until) {
		return state.Errorf(state.Busy, "another process holds a lease on it: %w", unix.EAGAIN)
	}
	poll := time.NewTimer(leasePoll)
	defer poll.Stop()
	select {
	case <-poll.C:
		return nil
	case <-stop:
		return errStopped
	}
}
