package driver

import (
	"sync"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// inFlight lets one call at a time work on a thing. The CSI spec asks the CO for
// that, and a driver to answer Aborted where the CO forgot.
type inFlight struct {
	mu   sync.Mutex
	keys map[string]struct{}
}

func newInFlight() *inFlight { return &inFlight{keys: map[string]struct{}{}} }

// begin takes key until end is called; Busy if another call has it.
func (f *inFlight) begin(key, what string) (end func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, taken := f.keys[key]; taken {
		return nil, state.Errorf(state.Busy, "another call is working on %s", what)
	}
	f.keys[key] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.keys, key)
	}, nil
}
