package pool

import "sync"

// groupSync shares one fsync among all who wait for it: an fsync that begins after
// a change covers that change, whoever asked for it. A caller that comes while one
// is running waits for the next, together with all others who came meanwhile.
type groupSync struct {
	fsync func() error

	mu      sync.Mutex
	running bool
	next    *syncRound
}

// syncRound is one fsync, and all who wait for it.
type syncRound struct {
	done chan struct{}
	err  error
}

// Wait returns when the fsync has ended.
func (r *syncRound) Wait() error {
	<-r.done
	return r.err
}

// Begin asks for an fsync that begins after the call.
func (g *groupSync) Begin() *syncRound {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &syncRound{done: make(chan struct{})}
	}
	round := g.next
	if !g.running {
		g.running = true
		go g.run()
	}
	return round
}

// run syncs for as long as somebody waits.
func (g *groupSync) run() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.next != nil {
		round := g.next
		g.next = nil
		g.mu.Unlock()
		round.err = g.fsync()
		close(round.done)
		g.mu.Lock()
	}
	g.running = false
}
