package mount

import (
	"maps"
	"slices"
	"sync"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Retire keeps a volume from being published, so that it can be deleted. The
// Reason of an error is InUse if it is published, and Busy if it is being worked
// on or is retired already. Release allows publishes again; it may be called twice.
func (t *Table) Retire(volumeID string) (release func(), err error) {
	free, _ := t.volumes.try(volumeID)
	if free == nil {
		return nil, state.Errorf(state.Busy, "volume %s is being published or unpublished", state.Quote(volumeID))
	}
	defer free()
	live, err := t.live(volumeID)
	if err != nil {
		return nil, err
	}
	if len(live) > 0 {
		return nil, state.Errorf(state.InUse, "volume %s is published at %s", state.Quote(volumeID), state.Quote(slices.Min(slices.Collect(maps.Keys(live)))))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retired[volumeID] {
		return nil, state.Errorf(state.Busy, "volume %s is being deleted", state.Quote(volumeID))
	}
	t.retired[volumeID] = true
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.retired, volumeID)
	}), nil
}

func (t *Table) isRetired(volumeID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.retired[volumeID]
}
