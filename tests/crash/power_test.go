package crash

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// TestPowerCut cuts the power right behind an answer, and amid many calls: what the
// kernel has not written to the disks by then is lost, and all mounts are. The next
// start finds everything that was answered, and only that.
func TestPowerCut(t *testing.T) {
	for _, c := range []struct {
		name        string
		state, pool filesystem
		oneDisk     bool
	}{
		{name: "ext4", state: ext4, pool: ext4},
		{name: "xfs", state: ext4, pool: xfs},
		{name: "btrfs", state: ext4, pool: btrfs},
		{name: "ext4, state and pool on one disk", pool: ext4, oneDisk: true},
		{name: "xfs, state and pool on one disk", pool: xfs, oneDisk: true},
		{name: "btrfs, state and pool on one disk", pool: btrfs, oneDisk: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			powerCut(t, c.state, c.pool, c.oneDisk)
		})
	}
}

// cut is what the disks held at one instant, and what was known of the volumes and
// snapshots.
type cut struct {
	when      string
	images    []string
	volumes   []volume
	snapshots []snapshot
}

// machine is a world on disks whose power can be cut.
type machine struct {
	*world
	disks []*disk
	cuts  []cut
}

func newMachine(t testing.TB, stateFS, poolFS filesystem, oneDisk bool) *machine {
	t.Helper()
	images := imagesDir(t)
	base := process.TempDir(t)
	m := &machine{world: &world{dir: filepath.Join(base, "hp"), targets: filepath.Join(base, "targets"), pool: unlimited}}
	add := func(fs filesystem, name, at string) {
		image := filepath.Join(images, name)
		makeImage(t, fs, image)
		m.disks = append(m.disks, mountImage(t, fs, image, at))
	}
	if oneDisk {
		add(poolFS, "disk", m.dir)
	} else {
		add(stateFS, "state", filepath.Join(m.dir, "state"))
		add(poolFS, "pool", filepath.Join(m.dir, "pool"))
	}
	return m
}

// cut keeps what would be left if the power were cut now.
func (m *machine) cut(t testing.TB, when string) {
	t.Helper()
	c := cut{when: when, images: copyAll(t, m.disks, fmt.Sprint(".", len(m.cuts)))}
	for _, v := range m.volumes {
		c.volumes = append(c.volumes, *v)
	}
	for _, s := range m.snapshots {
		c.snapshots = append(c.snapshots, *s)
	}
	m.cuts = append(m.cuts, c)
}

func powerCut(t *testing.T, stateFS, poolFS filesystem, oneDisk bool) {
	m := newMachine(t, stateFS, poolFS, oneDisk)
	m.start(t)
	m.cut(t, "after the first start")
	a, b := m.volume("a"), m.volume("b")
	m.must(t, a, "create")
	m.cut(t, "after create")
	m.must(t, a, "publish", "write")
	m.cut(t, "after write")
	m.must(t, a, "expand")
	m.cut(t, "after expand")
	m.must(t, b, "create", "publish", "write", "unpublish", "delete")
	m.cut(t, "after delete")
	m.must(t, b, "create")
	m.cut(t, "after create under the name of a deleted volume")
	m.must(t, b, "delete", "create", "delete")
	m.cut(t, "after two lives in a row")
	kept := m.volume("kept")
	kept.onDelete = "archive"
	m.must(t, kept, "create", "publish", "write", "unpublish", "delete")
	process.Eventually(t, "it comes back from the archive", func() error { return kept.do(m.d, "restore") })
	m.cut(t, "after a volume came back from the archive")
	m.copies(t, "mounted", false)
	m.copies(t, "block", true)
	m.many(t, "create")
	m.cut(t, "after many creates")
	m.many(t, "delete")
	m.cut(t, "after many deletes")

	// Amid calls, of which some take, and delete, snapshots. The copies are made once the driver is dead and the callers know.
	for i := range many / 4 {
		m.snapshot(fmt.Sprint("snapshot-", i), m.volume(fmt.Sprint("volume-", i))).recorded = true
	}
	for i, after := range []time.Duration{3 * time.Millisecond, 15 * time.Millisecond, 40 * time.Millisecond} {
		m.storm(t, after)
		m.cut(t, fmt.Sprint("amid calls ", i))
		m.start(t)
		m.check(t)
	}
	m.off(t)
	for _, c := range m.cuts {
		t.Run(c.when, func(t *testing.T) { m.startAfter(t, c) })
	}
}

// many asks for an operation on many volumes at once.
func (m *machine) many(t *testing.T, operation string) {
	t.Helper()
	var all sync.WaitGroup
	for i := range many {
		v := m.volume(fmt.Sprint("volume-", i))
		all.Go(func() {
			if err := v.do(m.d, operation); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// storm has many volumes made and unmade until the driver is killed.
func (m *machine) storm(t *testing.T, after time.Duration) {
	t.Helper()
	kill := time.AfterFunc(after, func() { m.d.Kill() })
	defer kill.Stop()
	var all sync.WaitGroup
	for i := range many {
		v := m.volume(fmt.Sprint("volume-", i))
		next := func(*process.Driver) error { return nil }
		for _, s := range m.snapshots {
			if s.of == v {
				next = s.next
			}
		}
		all.Go(func() {
			for {
				todo := v.next()
				if v.do(m.d, todo[len(todo)-1]) != nil || v.exists == yes && v.do(m.d, todo[0]) != nil || next(m.d) != nil {
					return
				}
			}
		})
	}
	all.Wait()
	<-m.d.Exited()
}

// off takes the machine down. What its disks hold now does not matter any more.
func (m *machine) off(t testing.TB) {
	t.Helper()
	m.d.Kill()
	process.UnmountBeneath(t, m.targets)
	for _, d := range m.disks {
		d.unmount(t)
	}
}

// startAfter starts the machine with what its disks held at a cut.
func (m *machine) startAfter(t *testing.T, c cut) {
	after := &machine{world: &world{dir: m.dir, targets: filepath.Join(m.targets, "after"), pool: unlimited}}
	for i, d := range m.disks {
		after.disks = append(after.disks, mountImage(t, d.fs, c.images[i], d.at))
	}
	defer after.off(t)
	for _, v := range c.volumes {
		// A reboot takes the mounts, and here the targets with them.
		v.published, v.target = no, filepath.Join(after.targets, v.name)
		after.volumes = append(after.volumes, &v)
	}
	for _, s := range c.snapshots {
		s.of = after.volume(s.of.name)
		after.snapshots = append(after.snapshots, &s)
	}
	after.start(t)
	after.check(t)
	for _, s := range after.snapshots {
		if s.exists == yes { // and can be restored from
			v := after.volume("from-" + s.name)
			v.block = s.of.block
			v.begins(process.FromSnapshot(s.name), s.data)
		}
	}
	for _, v := range after.volumes {
		if v.from != nil && v.exists == no && !after.has(v.from) {
			v.begins(nil, "")
		}
		if v.exists == yes {
			after.must(t, v, "publish", "write", "expand")
		} else {
			after.must(t, v, "create")
		}
	}
	after.check(t)
	after.end(t)
}
