package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// snapshot is what a CO knows of one snapshot.
type snapshot struct {
	name   string
	of     *volume
	exists belief
	data   string // what the volume held
	used   int64  // what it takes of the pool's account
	// recorded: what it takes is as its record says, since the filesystem allocates
	// blocks when it likes.
	recorded bool
}

// snapshot returns a snapshot of the volume, of which nothing is known so far.
func (w *world) snapshot(name string, of *volume) *snapshot {
	s := &snapshot{name: name, of: of, exists: no}
	w.snapshots = append(w.snapshots, s)
	return s
}

func (s *snapshot) take(d *process.Driver) (err error) {
	if s.exists == no {
		s.data = s.of.data
		if s.used, err = allocated(s.of.place(d)); err != nil {
			return err
		}
	}
	s.exists = maybe
	ready, err := d.TakeSnapshot(s.name, s.of.name)
	if err == nil && !ready {
		err = errors.New("it is not ready to use")
	}
	if err != nil {
		return fmt.Errorf("taking snapshot %s: %w", s.name, err)
	}
	s.exists = yes
	return nil
}

func (s *snapshot) remove(d *process.Driver) error {
	s.exists = maybe
	if err := d.RemoveSnapshot(s.name); err != nil {
		return fmt.Errorf("deleting snapshot %s: %w", s.name, err)
	}
	s.exists = no
	return nil
}

// allocated counts the blocks of all that is at path.
func allocated(path string) (bytes int64, err error) {
	err = filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		bytes += st.Blocks * 512
		return err
	})
	return bytes, err
}

// recordedUse reads from a snapshot's record what it takes.
func recordedUse(path string) (int64, error) {
	record := make([]byte, 64<<10)
	n, err := unix.Lgetxattr(path, "trusted.hostpath-csi.record", record)
	if err != nil {
		return 0, fmt.Errorf("the record on %s: %w", path, err)
	}
	var s struct {
		Status struct{ UsedBytes int64 }
	}
	err = json.Unmarshal(record[:n], &s)
	return s.Status.UsedBytes, err
}

// next does to the snapshot what makes sense now, or nothing.
func (s *snapshot) next(d *process.Driver) error {
	switch {
	case s.exists == yes:
		return s.remove(d)
	case s.of.exists == yes:
		return s.take(d)
	}
	return nil
}

// look compares the snapshot with what the driver and the disk say of it.
func (s *snapshot) look(d *process.Driver, listed map[string]bool) error {
	ready, there := listed[s.name]
	switch {
	case s.exists == yes && !there:
		return fmt.Errorf("snapshot %s was promised and is not listed", s.name)
	case s.exists == no && there:
		return fmt.Errorf("snapshot %s was deleted, or never asked for, and is listed", s.name)
	case !there:
		s.exists = no
		return nil
	case !ready:
		return fmt.Errorf("snapshot %s is not ready to use", s.name)
	}
	s.exists = yes
	place := filepath.Join(d.PoolDir(), "snapshots", s.name)
	if s.recorded {
		var err error
		if s.used, err = recordedUse(place); err != nil {
			return err
		}
	}
	if s.of.block {
		return holdsData(place, s.data)
	}
	return holds(place, s.data)
}

// compareSnapshots is to snapshots what compare is to volumes, and returns what they take.
func (w *world) compareSnapshots(t testing.TB) (bytes int64, err error) {
	t.Helper()
	listed, err := w.d.Snapshots()
	if err != nil {
		return 0, err
	}
	var names []string
	for _, s := range w.snapshots {
		if err := s.look(w.d, listed); err != nil {
			return 0, err
		}
		if s.exists == yes {
			names = append(names, s.name)
			bytes += s.used
		}
	}
	if len(names) != len(listed) {
		return 0, fmt.Errorf("listed are the snapshots %v, and there are to be %v", listed, names)
	}
	return bytes, process.SameNames(t, filepath.Join(w.d.PoolDir(), "snapshots"), names...)
}

// copyDeed is what is being done with copies when the driver is killed.
type copyDeed struct {
	what   string // a key of copyDeeds
	at     []string
	undone bool // what is not asked for again leaves nothing
	block  bool
}

// stage has a volume that was written to, and what else a deed needs.
type stage struct {
	v, copy *volume
	s       *snapshot
}

// doing is what is prepared for a deed, and the deed.
var doing = map[string]struct {
	before, during func(c *stage, d *process.Driver) error
}{
	"snapshot": {
		func(*stage, *process.Driver) error { return nil },
		func(c *stage, d *process.Driver) error { return c.s.take(d) }},
	"restore": {
		func(c *stage, d *process.Driver) error {
			c.copy.begins(process.FromSnapshot(c.s.name), c.v.data)
			return c.s.take(d)
		},
		func(c *stage, d *process.Driver) error { return c.copy.do(d, "create") }},
	"clone": {
		func(c *stage, _ *process.Driver) error {
			c.copy.begins(process.FromVolume(c.v.name), c.v.data)
			return nil
		},
		func(c *stage, d *process.Driver) error { return c.copy.do(d, "create") }},
	"deletion": {
		func(c *stage, d *process.Driver) error {
			c.copy.begins(process.FromSnapshot(c.s.name), c.v.data)
			return errors.Join(c.s.take(d), c.copy.do(d, "create"))
		},
		func(c *stage, d *process.Driver) error { return c.s.remove(d) }},
}

var (
	unbuilt   = names(crash.CreateMade, crash.CreateLabelled, crash.CreateSynced)
	copyDeeds = []copyDeed{
		{what: "snapshot", undone: true, at: append(names(crash.SnapshotRecorded, crash.SnapshotCommitting), unbuilt...)},
		{what: "snapshot", at: append(names(crash.SnapshotCommitted, crash.SnapshotPlaced), nth(crash.StoreCommitted, 1))},
		{what: "restore", undone: true, at: append(names(crash.CreateRecorded, crash.CreateCommitting), unbuilt...)},
		{what: "restore", at: append(names(crash.CreateCommitted, crash.CreatePlaced), nth(crash.StoreCommitted, 1))},
		{what: "clone", undone: true, at: append(names(crash.CreateRecorded, crash.CreateCommitting), unbuilt...)},
		{what: "clone", at: names(crash.CreateCommitted, crash.CreatePlaced)},
		{what: "deletion", at: append(names(crash.DeleteRecorded, crash.DeleteRenamed, crash.DeleteCommitted, crash.DeleteSynced, crash.DeleteFinalized, crash.PurgeStarted),
			nth(crash.PurgeStarted, 7), nth(crash.StoreCommitted, 1))},
		{block: true, what: "snapshot", undone: true, at: append(names(crash.SnapshotCommitting), unbuilt...)},
		{block: true, what: "snapshot", at: names(crash.SnapshotCommitted, crash.SnapshotPlaced)},
		{block: true, what: "restore", undone: true, at: append(names(crash.CreateCommitting), unbuilt...)},
		{block: true, what: "clone", at: names(crash.CreateCommitted, crash.CreatePlaced)},
		{block: true, what: "deletion", at: names(crash.DeleteRenamed, crash.DeleteCommitted, crash.PurgeStarted)},
	}
)

// TestKilledAtEveryStepOfACopy kills the driver between every two durable steps of a
// snapshot, a restore, a clone and the deletion of a snapshot. A copy is there whole or
// not at all, lives on without its source, and leaves nothing behind.
func TestKilledAtEveryStepOfACopy(t *testing.T) {
	for _, d := range copyDeeds {
		for _, at := range d.at {
			for _, again := range []bool{true, false} {
				if !again && (d.block || !d.undone) {
					continue // what is there after the start was looked at then
				}
				name := d.what
				if d.block {
					name += " of a block volume"
				}
				if name += " at " + at + ", "; !again {
					name += "not "
				}
				t.Run(name+"asked again", func(t *testing.T) {
					t.Parallel()
					killedCopying(t, d, at, again)
				})
			}
		}
	}
}

// newStage starts the driver in a new world.
func newStage(t *testing.T, block bool) (*world, *stage) {
	t.Helper()
	w := newWorld(t)
	w.start(t)
	c := &stage{v: w.volume("victim"), copy: w.volume("copy")}
	c.v.block, c.copy.block = block, block
	c.s = w.snapshot("snap", c.v)
	return w, c
}

func killedCopying(t *testing.T, d copyDeed, at string, again bool) {
	w, c := newStage(t, d.block)
	free := w.free(t)
	w.must(t, c.v, "create", "publish", "write")
	do := doing[d.what]
	if err := do.before(c, w.d); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	w.d.Kill()

	doomed := w.startDoomed(t, at)
	_ = do.during(c, doomed)
	awaitDeath(t, doomed, at)

	w.start(t)
	w.check(t)
	if made := map[string]belief{"snapshot": c.s.exists, "restore": c.copy.exists, "clone": c.copy.exists}[d.what]; d.undone && made != no {
		t.Fatalf("a copy that was killed at %s, and not asked for again, is there", at)
	}
	if again {
		if err := do.during(c, w.d); err != nil {
			t.Fatal(err)
		}
		w.check(t)
	}
	// The copies hold what they held, whatever becomes of their sources.
	w.must(t, c.v, "write")
	w.check(t)
	w.must(t, c.v, "unpublish", "delete")
	w.check(t)
	if c.copy.exists == yes {
		w.must(t, c.copy, "publish", "write", "expand")
		w.check(t)
	}
	w.end(t)
	w.isFree(t, free)
}

// holdUp has copies of a volume wait at one of its files, until release is called: the
// copier does not open a file of which another process holds a lease.
func holdUp(t *testing.T, v *volume) (release func()) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(v.target, "data"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
			t.Error(err)
		}
		f.Close()
	}
}

// TestKilledWhileItCopiesASnapshotThatWasToldOf: the caller was answered, or nearly, that
// there is such a snapshot, which is not ready to use yet. It is made again, whether the
// driver is killed once or twice; meanwhile its volume is not deleted.
func TestKilledWhileItCopiesASnapshotThatWasToldOf(t *testing.T) {
	for answered, again := range map[bool][]string{
		true:  append(names(crash.SnapshotRecorded, crash.CreateSynced), ""),
		false: append(names(crash.CreateMade, crash.SnapshotCommitted), ""),
	} {
		for _, second := range again {
			t.Run(fmt.Sprintf("answered %v, and again at %q", answered, second), func(t *testing.T) {
				t.Parallel()
				w, c := newStage(t, false)
				free := w.free(t)
				w.must(t, c.v, "create", "publish", "write")
				release := holdUp(t, c.v)
				if answered {
					if err := c.s.take(w.d); err == nil || !strings.Contains(err.Error(), "not ready") {
						t.Errorf("a copy that is held up: %v", err)
					}
					if err := w.d.Unpublish(c.v.name, c.v.target+"-other"); err != nil { // the driver goes on meanwhile
						t.Error(err)
					}
					if err := w.d.Delete(c.v.name); err == nil {
						t.Error("a volume was deleted while it was copied")
					}
					w.d.Kill()
				} else {
					w.d.Kill()
					doomed := w.startDoomed(t, string(crash.SnapshotCopying))
					_ = c.s.take(doomed)
					awaitDeath(t, doomed, string(crash.SnapshotCopying))
				}
				c.s.exists = yes
				release()
				if second != "" {
					awaitDeath(t, w.launchDoomed(t, second), second)
				}
				w.start(t)
				process.Eventually(t, "the snapshot is ready to use", func() error { return c.s.take(w.d) })
				w.check(t)
				w.end(t)
				w.isFree(t, free)
			})
		}
	}
}
