package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func number(prefix string, i int) string { return prefix + "-" + strconv.Itoa(i) }

// found is what a test lays out before the agent starts: a record, and what is on the
// disk of it.
type found struct {
	phase    state.Phase // "none": there is no record
	deleted  bool
	change   func(v *state.Volume)
	built    bool   // .tmp/ID.UID
	placed   bool   // volumes/ID
	trashed  bool   // .trash/ID.UID
	stray    string // a directory without a record, holding data
	otherUID bool   // what is placed belongs to another life
}

// lay lays it out on the disk.
func (w *world) lay(f found) {
	w.Helper()
	w.must(pool.Prepare(w.in(), "store-1"))
	if f.stray != "" {
		w.mkdir(f.stray)
		w.write(f.stray)
	}
	if f.phase == "none" {
		return
	}
	v := w.declare("a", 10*mib)
	b, err := openBackend(PoolOptions{Path: w.in()})
	w.must(err)
	defer func() { w.must(b.Close()) }()
	if f.trashed {
		w.must(b.Build(w.Context(), v))
		w.must(b.Discard(w.Context(), v))
	}
	if f.placed {
		there := v
		if f.otherUID {
			there.UID = "f" + v.UID[1:]
		}
		w.must(b.Build(w.Context(), there))
		_, err := b.Place(w.Context(), there)
		w.must(err)
		w.write("volumes", "a")
	}
	if f.built {
		if f.placed { // as nothing in this program would do
			w.must(os.Rename(w.in("volumes", "a"), w.in("volumes", "b")))
		}
		w.must(b.Build(w.Context(), v))
		w.write(".tmp", backend.PassingName(v))
		if f.placed {
			w.must(os.Rename(w.in("volumes", "b"), w.in("volumes", "a")))
		}
	}
	v.Status.Phase = f.phase
	if f.phase == state.Ready || f.phase == state.Deleting {
		v.Status = state.VolumeStatus{Phase: f.phase, Path: "volumes/a", CapacityBytes: 10 * mib, ObservedGeneration: 1}
	}
	if f.deleted {
		now := time.Now().UTC()
		v.DeletedAt = &now
		v.Generation++
	}
	if f.change != nil {
		f.change(&v)
	}
	w.volumes.byID["a"] = v
}

// outcome is what a test wants once the agent has settled.
type outcome struct {
	phase     state.Phase // "none": there is no record
	reason    state.Reason
	health    []string // reasons of the volume's conditions
	deletedAt bool
	capacity  int64
	allocated int64
	orphans   int      // less than 0: any number
	volumes   []string // in volumes/
	data      []string // directories that hold what was written there
}

func (w *world) wantOutcome(want outcome) {
	w.Helper()
	v, err := w.volumes.Get(w.Context(), "a")
	switch {
	case want.phase == "none":
		w.wantReason(state.NotFound, err)
	case err != nil:
		w.Error(err)
	default:
		var health []string
		for _, h := range v.Status.Health {
			health = append(health, h.Reason)
		}
		if v.Status.Phase != want.phase || v.Status.Reason != want.reason || !slices.Equal(health, want.health) ||
			(v.DeletedAt != nil) != want.deletedAt || v.Status.CapacityBytes != want.capacity {
			w.Errorf("the record is %+v, want %+v", v, want)
		}
	}
	if st := w.status(); st.AllocatedBytes != want.allocated || want.orphans >= 0 && st.Orphans != want.orphans || !st.Usable() {
		w.Errorf("the pool is %+v, want %+v", st, want)
	}
	if got := w.names("volumes"); !slices.Equal(got, want.volumes) {
		w.Errorf("volumes/ holds %q, want %q", got, want.volumes)
	}
	if got := w.names(".trash"); len(got) > 0 {
		w.Errorf(".trash holds %q", got)
	}
	for _, dir := range want.data {
		w.wantData(dir)
	}
}

func TestScan(t *testing.T) {
	healthy := outcome{phase: state.Ready, capacity: 10 * mib, allocated: 10 * mib, volumes: []string{"a"}, data: []string{"volumes/a"}}
	gone := outcome{phase: "none"}
	fresh := outcome{phase: state.Ready, capacity: 10 * mib, allocated: 10 * mib, volumes: []string{"a"}}
	wasLost := func(v *state.Volume) {
		v.Status.Health = []state.Health{{Type: state.DataLoss, Reason: lostReason}, {Type: state.Degraded, Reason: "Other"}}
	}
	for name, c := range map[string]struct {
		found  found
		shared outcome  // with CallersShareProcess
		apart  *outcome // without; nil: the same
	}{
		"Ready, placed":                 {found{phase: state.Ready, placed: true}, healthy, nil},
		"Ready, placed, was lost":       {found{phase: state.Ready, placed: true, change: wasLost}, with(healthy, func(o *outcome) { o.health = []string{"Other"} }), nil},
		"Ready, built":                  {found{phase: state.Ready, built: true}, healthy, nil},
		"Ready, built, was lost":        {found{phase: state.Ready, built: true, change: wasLost}, with(healthy, func(o *outcome) { o.health = []string{"Other"} }), nil},
		"Ready, built and trashed":      {found{phase: state.Ready, built: true, trashed: true}, healthy, nil},
		"Ready, placed and trashed":     {found{phase: state.Ready, placed: true, trashed: true}, healthy, nil},
		"Ready, in two places":          {found{phase: state.Ready, placed: true, built: true}, healthy, nil},
		"Deleting, nothing":             {found{phase: state.Deleting, deleted: true}, gone, nil},
		"Deleting, placed":              {found{phase: state.Deleting, deleted: true, placed: true}, gone, nil},
		"Deleting, built":               {found{phase: state.Deleting, deleted: true, built: true}, gone, nil},
		"Deleting, trashed":             {found{phase: state.Deleting, deleted: true, trashed: true}, gone, nil},
		"Deleting, next life's placed":  {found{phase: state.Deleting, deleted: true, placed: true, otherUID: true}, outcome{phase: "none", orphans: -1, volumes: []string{"a"}, data: []string{"volumes/a"}}, nil},
		"Ready, trashed":                {found{phase: state.Ready, trashed: true}, gone, nil},
		"Ready, to be deleted, trashed": {found{phase: state.Ready, deleted: true, trashed: true}, gone, nil},
		"Pending, trashed":              {found{phase: state.Pending, trashed: true}, gone, nil},
		"Ready, nothing": {found{phase: state.Ready},
			outcome{phase: state.Ready, health: []string{lostReason}, capacity: 10 * mib, allocated: 10 * mib}, nil},
		"Pending, nothing":              {found{phase: state.Pending}, gone, &fresh},
		"no phase, nothing":             {found{}, gone, &fresh},
		"Pending, built":                {found{phase: state.Pending, built: true}, gone, &fresh},
		"Pending, to be deleted, built": {found{phase: state.Pending, deleted: true, built: true}, gone, nil},
		"Failed, nothing":               {found{phase: state.Failed}, gone, &outcome{phase: state.Failed}},
		"Failed, to be deleted":         {found{phase: state.Failed, deleted: true}, gone, nil},
		"Failed, built":                 {found{phase: state.Failed, built: true}, gone, &outcome{phase: state.Failed}},
		"Ready, to be deleted, placed":  {found{phase: state.Ready, deleted: true, placed: true}, healthy, &gone},
		"Ready, to be deleted, built":   {found{phase: state.Ready, deleted: true, built: true}, healthy, &gone},
		"Ready, changed": {found{phase: state.Ready, placed: true, change: func(v *state.Volume) { v.Spec.CapacityBytes = 20 * mib; v.Generation++ }},
			with(healthy, func(o *outcome) { o.capacity, o.allocated = 20*mib, 20*mib }), nil},
		"Ready, changed, built": {found{phase: state.Ready, built: true, change: func(v *state.Volume) { v.Spec.CapacityBytes = 20 * mib; v.Generation++ }},
			with(healthy, func(o *outcome) { o.capacity, o.allocated = 20*mib, 20*mib }), nil},
		"no record, built":   {found{phase: "none", stray: ".tmp/a.1"}, gone, nil},
		"no record, trashed": {found{phase: "none", stray: ".trash/a.1"}, gone, nil},
		"no record, placed": {found{phase: "none", stray: "volumes/x"},
			outcome{phase: "none", orphans: 1, volumes: []string{"x"}, data: []string{"volumes/x"}}, nil},
		"Pending, a stray in its place": {found{phase: state.Pending, stray: "volumes/a"},
			outcome{phase: "none", orphans: 1, volumes: []string{"a"}, data: []string{"volumes/a"}},
			&outcome{phase: state.Failed, reason: state.Defect, orphans: 1, volumes: []string{"a"}, data: []string{"volumes/a"}}},
		"Ready, and another pool's": {found{phase: state.Ready, stray: "volumes/a", change: func(v *state.Volume) { v.Spec.Pool = "other" }},
			outcome{phase: state.Ready, capacity: 10 * mib, orphans: 1, volumes: []string{"a"}, data: []string{"volumes/a"}}, nil},
		"Ready, and another node's": {found{phase: state.Ready, stray: "volumes/a", change: func(v *state.Volume) { v.Spec.Node = "node-2" }},
			outcome{phase: state.Ready, capacity: 10 * mib, orphans: 1, volumes: []string{"a"}, data: []string{"volumes/a"}}, nil},
	} {
		run := func(t *testing.T, shared bool, want outcome) {
			inWorld(t, func(w *world) {
				w.o.CallersShareProcess = shared
				w.lay(c.found)
				w.start()
				w.pass(purgeRetry) // a leaving that was replaced is not waited for
				w.wantOutcome(want)
				// A second start finds nothing to do.
				if want.phase != state.Failed {
					w.restart()
					w.wantOutcome(want)
				}
			})
		}
		t.Run(name+"/callers share the process", func(t *testing.T) { run(t, true, c.shared) })
		t.Run(name+"/callers are apart", func(t *testing.T) {
			if c.apart != nil {
				run(t, false, *c.apart)
				return
			}
			run(t, false, c.shared)
		})
	}
}

func with(o outcome, change func(o *outcome)) outcome {
	change(&o)
	return o
}

// TestScanKeepsBothPlaces: no data of a Ready volume is moved to the trash.
func TestScanKeepsBothPlaces(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lay(found{phase: state.Ready, placed: true, built: true})
		v := w.get("a")
		w.start()
		w.wantData("volumes", "a")
		w.wantData(".tmp", backend.PassingName(v))
	})
}

// TestScanOfManyRecords is about lists of several pages.
func TestScanOfManyRecords(t *testing.T) {
	inWorld(t, func(w *world) {
		w.must(pool.Prepare(w.in(), "store-1"))
		const volumes = 2*scanPage + 10
		for i := range volumes {
			v := w.declare(number("v", i), mib/4)
			v.Status = state.VolumeStatus{Phase: state.Ready, Path: "volumes/" + v.ID, CapacityBytes: mib / 4, ObservedGeneration: 1}
			w.volumes.byID[v.ID] = v
			w.must(os.Mkdir(w.in("volumes", v.ID), 0o755))
		}
		w.must(os.Mkdir(w.in("volumes", "v-orphan"), 0o755))
		w.start()
		w.wantAllocated(volumes * mib / 4)
		if st := w.status(); st.Orphans != 1 {
			w.Errorf("%d orphans", st.Orphans)
		}
		if w.pool().volumes != volumes {
			w.Errorf("%d volumes are Ready", w.pool().volumes)
		}
		for i := range volumes {
			if v := w.get(number("v", i)); len(v.Status.Health) > 0 {
				w.Fatalf("volume %s: %+v", v.ID, v.Status.Health)
			}
		}
	})
}

// TestScanFails: a pool that could not be compared with the records is not used.
func TestScanFails(t *testing.T) {
	inWorld(t, func(w *world) {
		var broken atomic.Bool
		broken.Store(true)
		w.volumes.fail = func(call, _ string) error {
			if call == "List" && broken.Load() {
				return state.Errorf(state.Unavailable, "the store is broken")
			}
			return nil
		}
		w.start()
		if st := w.status(); st.Usable() {
			w.Errorf("the pool is %+v", st)
		}
		w.wantPhase(w.create("a", mib), state.Failed, state.Unavailable)
		broken.Store(false)
		w.pass(inspectEvery + time.Second)
		w.wantPhase(w.create("b", mib), state.Ready, "")
	})
}

func TestScanTellsOfCorruptRecords(t *testing.T) {
	inWorld(t, func(w *world) {
		w.volumes.fail = func(call, _ string) error {
			if call == "List" {
				return state.Errorf(state.Corrupt, "the store is damaged")
			}
			return nil
		}
		w.agent = New(w.o)
		w.wantReason(state.Corrupt, w.agent.Attach(w.Context()))
		w.stop()
	})
}

// TestLostVolumeComesBack restores a directory by hand, without its record.
func TestLostVolumeComesBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start()
		w.create("a", 10*mib)
		w.stop()
		w.must(os.Rename(w.in("volumes", "a"), filepath.Join(w.at, "a")))
		w.start()
		v := w.get("a")
		if len(v.Status.Health) != 1 || v.Status.Health[0].Type != state.DataLoss || v.Status.Health[0].Message == "" || v.Status.Phase != state.Ready {
			w.Errorf("a lost volume: %+v", v.Status)
		}
		w.wantDisk()
		w.wantAllocated(10 * mib)
		w.mkdir("volumes", "a")
		w.write("volumes", "a")
		w.restart()
		if v := w.get("a"); len(v.Status.Health) > 0 {
			w.Errorf("a volume that came back: %+v", v.Status)
		}
		w.wantData("volumes", "a")
		w.delete("a")
		w.wantGone("a")
		w.wantDisk()
	})
}
