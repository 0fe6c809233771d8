package tree

import (
	"sync"
	"sync/atomic"
)

// The callback is called when one of these was done since the last time.
const (
	tellInodes = 1000
	tellBytes  = 64 << 20
)

// counters count for all workers.
type counters struct {
	bytes, inodes, cloned, vanished, mounts atomic.Int64

	telling sync.Mutex
	told    Stats
}

func (k *counters) stats() Stats { return Stats{Bytes: k.bytes.Load(), Inodes: k.inodes.Load()} }

func (k *counters) result() Result {
	return Result{Stats: k.stats(), Cloned: k.cloned.Load(), Vanished: k.vanished.Load(), Mounts: k.mounts.Load()}
}

// tell calls the callback if it is time to. While one worker is in it, the others
// go on.
func (k *counters) tell(progress func(Stats)) {
	if progress == nil || !k.telling.TryLock() {
		return
	}
	defer k.telling.Unlock()
	now := k.stats()
	if now.Inodes-k.told.Inodes >= tellInodes || now.Bytes-k.told.Bytes >= tellBytes {
		k.told = now
		progress(now)
	}
}

func (k *counters) tellLast(progress func(Stats)) {
	if progress != nil {
		progress(k.stats())
	}
}
