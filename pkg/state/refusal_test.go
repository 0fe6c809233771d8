package state

import (
	"testing"
	"time"
)

func TestADeletionIsAskedForUntilItIsRefused(t *testing.T) {
	now := time.Now()
	asked := Meta{Generation: 2, DeletedAt: &now}
	insisted := Meta{Generation: 2, DeletedAt: &now, DeletedForGood: true}
	for name, c := range map[string]struct {
		meta     Meta
		phase    Phase
		reason   Reason
		observed int64
		want     bool
	}{
		"it is not asked for":                      {Meta{Generation: 2}, Ready, "", 1, false},
		"it was taken back":                        {Meta{Generation: 3}, Ready, InUse, 2, false},
		"it is asked for":                          {asked, Ready, "", 1, true},
		"it is asked for after another refusal":    {asked, Ready, NoSpace, 1, true},
		"it was refused":                           {asked, Ready, InUse, 2, false},
		"it was refused, and cannot be taken back": {insisted, Ready, InUse, 2, true},
		"what has failed is not refused for that":  {asked, Failed, NoSpace, 2, true},
		"what is being made":                       {asked, Pending, "", 0, true},
	} {
		v := Volume{Meta: c.meta, Status: VolumeStatus{Phase: c.phase, Reason: c.reason, ObservedGeneration: c.observed}}
		s := Snapshot{Meta: c.meta, Status: SnapshotStatus{Phase: c.phase, Reason: c.reason, ObservedGeneration: c.observed}}
		if volume, snapshot := Removable(v), RemovableSnapshot(s); volume != c.want || snapshot != c.want {
			t.Errorf("%s: the volume may go: %v, the snapshot: %v, want %v", name, volume, snapshot, c.want)
		}
	}
}
