package quota

import (
	"sync"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Range is the project IDs that may be given out: Count of them from First on. It is
// this driver's alone: a limit in it that no file is under is taken for a leaving.
type Range struct {
	First, Count uint32
}

// DefaultRange is far from where people and other programs begin to count.
var DefaultRange = Range{First: 1 << 20, Count: 1 << 20}

// maxCount bounds the memory of an IDs to some 2 MiB.
const maxCount = 1 << 24

// Validate says what is wrong with a range.
func (r Range) Validate() error {
	switch {
	case r.First == 0:
		return state.Errorf(state.Invalid, "a range of project IDs cannot begin with 0, the project of all other files")
	case r.Count == 0 || r.Count > maxCount:
		return state.Errorf(state.Invalid, "a range of project IDs has 1 to %d of them, not %d", maxCount, r.Count)
	case uint64(r.First)+uint64(r.Count) > 1<<32-1: // the last number means "none"
		return state.Errorf(state.Invalid, "a range of %d project IDs from %d on goes beyond %d", r.Count, r.First, uint32(1<<32-2))
	}
	return nil
}

// Contains tells whether id is in the range.
func (r Range) Contains(id uint32) bool { return id >= r.First && id-r.First < r.Count }

// IDs gives out the project IDs of one filesystem, each to one volume.
//
// An ID is held while a record has it: from Take (or Hold, for the records that are
// found at the start) until Release. Whether a free one means something to somebody
// else is asked of the filesystem when it is about to be given out: no ID is given
// out that files carry, be they of a deleted volume whose data is still being removed,
// nor one that has a limit.
//
// A volume's limit outlives its record, until its data is removed: Retire. Limits are
// set only for held IDs, and after files carry them; cleared only for IDs that are not
// held and that no file carries. So none is ever cleared that is in force.
type IDs struct {
	fs limits
	Range

	mu sync.Mutex
	// taken holds the IDs of the range, less First, that are held or known to be busy.
	taken *bitmap
	// busy are those that are not held: the filesystem had a use of them.
	busy map[uint32]struct{}
	// outside are held IDs of an earlier range.
	outside map[uint32]struct{}
	// retired are to lose their limit as soon as they may.
	retired map[uint32]struct{}
}

// limits is what IDs needs of a Filesystem.
type limits interface {
	Usage(id uint32) (Usage, error)
	Next(from uint32) (Usage, bool, error)
	Clear(id uint32) error
}

// NewIDs makes the allocator of a filesystem, which has one.
func NewIDs(fs *Filesystem, r Range) (*IDs, error) { return newIDs(fs, r) }

func newIDs(fs limits, r Range) (*IDs, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &IDs{fs: fs, Range: r, taken: newBitmap(int(r.Count)),
		busy: map[uint32]struct{}{}, outside: map[uint32]struct{}{}, retired: map[uint32]struct{}{}}, nil
}

// Take gives out the lowest ID that is free, for a record. Low ones, because both
// filesystems keep the entries of neighbouring IDs together.
func (a *IDs) Take() (uint32, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		i, ok := a.taken.lowestAbsent()
		if !ok {
			// Somebody else's use may have ended meanwhile.
			if freed, err := a.recheck(); err != nil {
				return 0, err
			} else if !freed {
				return 0, state.Errorf(state.NoSpace, "all %d project IDs from %d on are taken: delete volumes, or give the driver a larger range", a.Count, a.First)
			}
			continue
		}
		id := a.First + uint32(i)
		u, err := a.fs.Usage(id)
		if err != nil {
			return 0, err
		}
		a.taken.add(i)
		if !u.InUse() {
			return id, nil
		}
		a.busy[id] = struct{}{}
	}
}

// recheck frees the busy IDs that are not any more.
func (a *IDs) recheck() (freed bool, err error) {
	for id := range a.busy {
		u, err := a.fs.Usage(id)
		if err != nil {
			return freed, err
		}
		if !u.InUse() {
			a.free(id)
			freed = true
		}
	}
	return freed, nil
}

// Hold keeps an ID that a record has from being given out. It may lie outside of the
// range, which can be configured anew.
func (a *IDs) Hold(id uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held(id) {
		return state.Errorf(state.Defect, "two records have project ID %d", id)
	}
	if !a.Contains(id) {
		a.outside[id] = struct{}{}
		return nil
	}
	delete(a.busy, id)
	a.taken.add(int(id - a.First))
	return nil
}

// Release ends what Take or Hold began: the record is gone, though data may be left.
func (a *IDs) Release(id uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.held(id) {
		return nil
	}
	delete(a.outside, id)
	a.free(id)
	if _, ok := a.retired[id]; ok {
		return a.reclaim(id)
	}
	return nil
}

// retireAtOnce bounds how many IDs one call of Retire looks at.
const retireAtOnce = 64

// Retire has the limit of an ID cleared that no file is to carry any more, once it is
// released and that is so: XFS frees inodes in the background, and a process may hold
// a deleted file open. What was retired earlier is tried again.
func (a *IDs) Retire(id uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retired[id] = struct{}{}
	if err := a.reclaim(id); err != nil {
		return err
	}
	n := 0
	for other := range a.retired { // in no order: each gets its turn
		if n++; n > retireAtOnce {
			break
		}
		if err := a.reclaim(other); err != nil {
			return err
		}
	}
	return nil
}

// reclaim clears the limit of a retired ID, unless it is held or files carry it.
func (a *IDs) reclaim(id uint32) error {
	if a.held(id) {
		return nil
	}
	u, err := a.fs.Usage(id)
	if err != nil {
		return err
	}
	if u.Bytes > 0 || u.Inodes > 0 {
		return nil
	}
	if u.Limited() {
		if err := a.fs.Clear(id); err != nil {
			return err
		}
	}
	delete(a.retired, id)
	a.free(id)
	return nil
}

// Sweep clears the limits that a crash left behind: those of the range that no file is
// under and no record has. All records' IDs are held by now. It looks at every ID that
// the filesystem knows of, and remembers those that are somebody else's.
func (a *IDs) Sweep() (cleared int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for from := a.First; a.Contains(from); {
		u, ok, err := a.fs.Next(from)
		if err != nil {
			return cleared, err
		}
		if !ok || !a.Contains(u.ID) {
			break
		}
		from = u.ID + 1
		switch {
		case a.held(u.ID) || !u.InUse():
		case u.Bytes == 0 && u.Inodes == 0:
			if err := a.fs.Clear(u.ID); err != nil {
				return cleared, err
			}
			cleared++
		default:
			a.taken.add(int(u.ID - a.First))
			a.busy[u.ID] = struct{}{}
		}
	}
	return cleared, nil
}

// held tells whether a record has the ID.
func (a *IDs) held(id uint32) bool {
	if !a.Contains(id) {
		_, ok := a.outside[id]
		return ok
	}
	_, busy := a.busy[id]
	return !busy && a.taken.has(int(id-a.First))
}

// free makes an ID of the range one that may be given out.
func (a *IDs) free(id uint32) {
	if a.Contains(id) {
		delete(a.busy, id)
		a.taken.remove(int(id - a.First))
	}
}
