//go:build crashtest

package crash

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	at    Name
	times atomic.Int64
)

func init() {
	name, nth, found := strings.Cut(os.Getenv("HOSTPATH_CSI_CRASH_AT"), ":")
	at = Name(name)
	n := 1
	if found {
		var err error
		if n, err = strconv.Atoi(nth); err != nil || n < 1 {
			panic("HOSTPATH_CSI_CRASH_AT: want NAME or NAME:N, got " + os.Getenv("HOSTPATH_CSI_CRASH_AT"))
		}
	}
	times.Store(int64(n))
}

// Step kills the process if this is the step, and the time, that was asked for.
func Step(name Name) {
	if name != at || times.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; nothing more may happen
}
