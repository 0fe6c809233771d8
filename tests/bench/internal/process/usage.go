package process

import (
	"context"
	"time"

	"github.com/prometheus/procfs"
)

// Memory is what a process has in memory, in bytes (/proc/PID/status).
type Memory struct {
	// RSS is all of it (VmRSS).
	RSS uint64 `json:"rss"`
	// Anonymous is what is backed by no file (RssAnon): heap and stacks.
	Anonymous uint64 `json:"anonymous"`
	// Peak is the most that RSS ever was (VmHWM).
	Peak uint64 `json:"peak"`
}

// Memory reads what the process has in memory now.
func (p *Process) Memory() (Memory, error) {
	proc, err := procfs.NewProc(p.PID())
	if err != nil {
		return Memory{}, err
	}
	s, err := proc.NewStatus()
	if err != nil {
		return Memory{}, err
	}
	return Memory{RSS: s.VmRSS, Anonymous: s.RssAnon, Peak: s.VmHWM}, nil
}

// CPU returns the processor time that the process has used, in seconds, user and
// system together. The kernel counts it in hundredths.
func (p *Process) CPU() (float64, error) {
	proc, err := procfs.NewProc(p.PID())
	if err != nil {
		return 0, err
	}
	s, err := proc.Stat()
	if err != nil {
		return 0, err
	}
	return s.CPUTime(), nil
}

// Settle waits until the process has done what it does after it answered: until
// it used no measurable processor time for a while, or for at most patience. It
// returns what CPU does then.
func (p *Process) Settle(ctx context.Context, patience time.Duration) (float64, error) {
	const tick, quiet = 10 * time.Millisecond, 4
	deadline := time.Now().Add(patience)
	last, err := p.CPU()
	for calm := 0; err == nil && calm < quiet && time.Now().Before(deadline); calm++ {
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-time.After(tick):
		}
		var now float64
		if now, err = p.CPU(); now != last {
			last, calm = now, -1
		}
	}
	return last, err
}
