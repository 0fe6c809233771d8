package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// TestModel does things at random and compares records, account and disk with a map.
func TestModel(t *testing.T) {
	at := filesystem.New(t, "tmpfs", diskBytes)
	synctest.Test(t, func(t *testing.T) {
		n := 0
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // without t.Deadline, which has no meaning here
			n++
			dir := filepath.Join(at, strconv.Itoa(n))
			w := newWorld(t, dir)
			m := &model{world: w, known: map[string]*modelled{}, snaps: map[string]*modelled{}}
			w.must(os.Mkdir(dir, 0o755))
			// The pool's own directories take nothing either, but a block for its marker.
			w.o.Pools[0].ReserveBytes = diskBytes - modelRoom
			w.o.CallersShareProcess = rapid.Bool().Draw(rt, "callers share the process")
			w.start()
			defer func() {
				w.stop()
				w.must(os.RemoveAll(dir))
			}()
			rt.Repeat(rapid.StateMachineActions(m))
		})
	})
}

// modelRoom is what the model's pool gives out.
const modelRoom = 100 * mib

type model struct {
	*world
	known map[string]*modelled // volumes
	snaps map[string]*modelled // snapshots
	lives int
}

type modelled struct {
	ready, inUse bool
	bytes        int64  // of a snapshot: what it takes
	size         int64  // of a snapshot: the least size of a restore
	data         string // what it holds
}

func (m *model) allocated() (sum int64) {
	for _, v := range m.known {
		if v.ready {
			sum += v.bytes
		}
	}
	for _, s := range m.snaps {
		if s.ready {
			sum += s.bytes
		}
	}
	return sum
}

func (m *model) id(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "b.b", "c-c", "d"}).Draw(rt, "id")
}

func (m *model) bytes(rt *rapid.T) int64 {
	return rapid.Int64Range(0, 60).Draw(rt, "MiB") * mib
}

func (m *model) Create(rt *rapid.T) {
	id, bytes := m.id(rt), m.bytes(rt)
	_, err := m.volumes.Create(m.Context(), id, spec(id, bytes))
	if m.known[id] != nil {
		if state.ReasonOf(err) != state.AlreadyExists {
			rt.Fatalf("creating %s again: %v", id, err)
		}
		return
	}
	m.settle()
	v := &modelled{ready: m.allocated()+bytes <= modelRoom, bytes: bytes}
	if v.ready {
		m.lives++
		v.data = strconv.Itoa(m.lives)
		m.must(os.WriteFile(m.in("volumes", id, "file"), []byte(v.data), 0o600))
	}
	m.known[id] = v
}

func (m *model) snapshotID(rt *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "s", "t.t"}).Draw(rt, "snapshot")
}

func (m *model) Snapshot(rt *rapid.T) {
	id, of := m.snapshotID(rt), m.known[m.id(rt)]
	if of == nil || m.snaps[id] != nil {
		return
	}
	var volume string
	for name, v := range m.known {
		if v == of {
			volume = name
		}
	}
	m.snap(id, m.get(volume))
	// A file of any size takes a page of the disk.
	page := int64(os.Getpagesize())
	m.snaps[id] = &modelled{ready: of.ready && m.allocated()+page <= modelRoom, bytes: page, size: of.bytes, data: of.data}
}

func (m *model) DeleteSnapshot(rt *rapid.T) {
	if id := m.snapshotID(rt); m.snaps[id] != nil {
		m.deleteSnapshot(id)
		delete(m.snaps, id)
	}
}

// Copy restores or clones.
func (m *model) Copy(rt *rapid.T) {
	id, bytes, kind := m.id(rt), m.bytes(rt), rapid.SampledFrom([]state.SourceKind{state.FromSnapshot, state.FromVolume}).Draw(rt, "kind")
	if m.known[id] != nil {
		return
	}
	var source string
	var of modelled
	if kind == state.FromSnapshot {
		source = m.snapshotID(rt)
		if s := m.snaps[source]; s != nil {
			of = modelled{ready: s.ready, bytes: s.size, data: s.data}
		}
	} else {
		source = m.id(rt)
		if v := m.known[source]; v != nil {
			of = *v
		}
	}
	v := m.clone(id, bytes, kind, source)
	m.known[id] = &modelled{ready: of.ready && bytes >= of.bytes && m.allocated()+bytes <= modelRoom, bytes: bytes, data: of.data}
	if want := m.known[id].ready; (v.Status.Phase == state.Ready) != want {
		rt.Fatalf("%s of %s %s, which is %+v: %+v, want it ready: %v", id, kind, source, of, v.Status, want)
	}
}

// checkSnapshots is called after every action.
func (m *model) checkSnapshots(rt *rapid.T) {
	var ready []string
	for id, want := range m.snaps {
		s := m.getSnapshot(id)
		if (s.Status.Phase == state.Ready) != want.ready || s.Status.ReadyToUse != want.ready || want.ready && s.Status.UsedBytes != want.bytes || want.ready && s.Status.SizeBytes != want.size {
			rt.Fatalf("snapshot %s is %+v, want %+v", id, s, want)
		}
		if want.ready {
			ready = append(ready, id)
			if b, err := os.ReadFile(m.in("snapshots", id, "file")); err != nil || string(b) != want.data {
				rt.Fatalf("snapshot %s holds %q, %v, want %q", id, b, err, want.data)
			}
		}
	}
	slices.Sort(ready)
	if got := m.names("snapshots"); !slices.Equal(got, ready) || len(m.snapshots.byID) != len(m.snaps) {
		rt.Fatalf("snapshots/ holds %q and there are %d records, want %q and %d", got, len(m.snapshots.byID), ready, len(m.snaps))
	}
	if n := m.pool().snapshots; n != len(ready) {
		rt.Fatalf("%d snapshots are counted, want %d", n, len(ready))
	}
}

func (m *model) Resize(rt *rapid.T) {
	id, bytes := m.id(rt), m.bytes(rt)
	v := m.known[id]
	if v == nil || !v.ready {
		return
	}
	now := m.resize(id, bytes)
	fits := m.allocated()-v.bytes+bytes <= modelRoom || bytes <= v.bytes
	if refused := state.Refused(now); (refused == nil) != fits {
		rt.Fatalf("resizing %s from %d to %d with %d allocated: %v", id, v.bytes, bytes, m.allocated(), refused)
	}
	if fits {
		v.bytes = bytes
		return
	}
	m.resize(id, v.bytes) // as the controller does
}

func (m *model) Delete(rt *rapid.T) {
	id := m.id(rt)
	v := m.known[id]
	if v == nil {
		return
	}
	m.delete(id)
	if !v.inUse {
		delete(m.known, id)
		return
	}
	now := m.get(id)
	if state.ReasonOf(state.Refused(now)) != state.InUse {
		rt.Fatalf("deleting %s, which is in use: %+v", id, now)
	}
	if rapid.Bool().Draw(rt, "it is free before that is taken back") {
		v.inUse = false
		m.publishes.set(id, false)
		m.agent.queue.add(id)
		m.settle()
	}
	m.must(m.volumes.Keep(m.Context(), id, now.UID))
	m.settle()
}

func (m *model) Publish(rt *rapid.T) {
	id := m.id(rt)
	if v := m.known[id]; v != nil && v.ready {
		v.inUse = !v.inUse
		m.publishes.set(id, v.inUse)
	}
}

func (m *model) Restart(*rapid.T) {
	m.restart()
	if m.o.CallersShareProcess { // what failed is forgotten
		maps.DeleteFunc(m.known, func(_ string, v *modelled) bool { return !v.ready })
		maps.DeleteFunc(m.snaps, func(_ string, s *modelled) bool { return !s.ready })
	}
}

// Check is called after every action.
func (m *model) Check(rt *rapid.T) {
	var ready []string
	for id, want := range m.known {
		v, err := m.volumes.Get(m.Context(), id)
		if err != nil {
			rt.Fatal(err)
		}
		phase := state.Failed
		if want.ready {
			phase = state.Ready
			ready = append(ready, id)
			if b, err := os.ReadFile(m.in("volumes", id, "file")); err != nil || string(b) != want.data {
				rt.Fatalf("%s holds %q, %v, want %q", id, b, err, want.data)
			}
		}
		if v.Status.Phase != phase || want.ready && (v.Status.CapacityBytes != want.bytes || v.Status.Reason != "") || v.DeletedAt != nil ||
			v.Status.ObservedGeneration != v.Generation {
			rt.Fatalf("%s is %+v, want %+v", id, v, want)
		}
	}
	m.checkSnapshots(rt)
	if n := len(m.volumes.byID); n != len(m.known) {
		rt.Fatalf("%d records, want %d", n, len(m.known))
	}
	slices.Sort(ready)
	if got := m.names("volumes"); !slices.Equal(got, ready) {
		rt.Fatalf("volumes/ holds %q, want %q", got, ready)
	}
	if tmp, trash := m.names(".tmp"), m.names(".trash"); len(tmp)+len(trash) > 0 {
		rt.Fatalf(".tmp holds %q, .trash %q", tmp, trash)
	}
	// The markers of all the pools that there were take some of the disk.
	free := modelRoom - m.allocated()
	if st := m.status(); st.AllocatedBytes != m.allocated() || st.AvailableBytes > free || st.AvailableBytes < free-mib {
		rt.Fatalf("the pool is %+v, allocated are %d", st, m.allocated())
	}
	if n := m.pool().volumes; n != len(ready) {
		rt.Fatalf("%d volumes are counted, want %d", n, len(ready))
	}
}
