package crash

import (
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// copies takes a snapshot, restores it, clones a volume and deletes what was copied.
func (m *machine) copies(t *testing.T, kind string, block bool) {
	t.Helper()
	of, restored, clone := m.volume(kind), m.volume(kind+"-restored"), m.volume(kind+"-clone")
	of.block, restored.block, clone.block = block, block, block
	m.must(t, of, "create", "publish", "write")
	s := m.snapshot(kind+"-snapshot", of)
	s.recorded = true
	m.mustBe(t, s.take)
	m.cut(t, "after a snapshot, "+kind)
	m.must(t, of, "write") // what was written is in the one, and not in the other
	restored.begins(process.FromSnapshot(s.name), s.data)
	m.must(t, restored, "create")
	m.cut(t, "after a restore, "+kind)
	clone.begins(process.FromVolume(of.name), of.data)
	m.must(t, clone, "create")
	m.cut(t, "after a clone, "+kind)
	m.mustBe(t, s.remove)
	m.must(t, of, "unpublish", "delete")
	m.cut(t, "after the deletion of what was copied, "+kind)
	s.of = clone // another one of that name
	m.mustBe(t, s.take)
	m.cut(t, "after another snapshot of that name, "+kind)
}

// mustBe has something done that has to succeed.
func (m *machine) mustBe(t *testing.T, do func(*process.Driver) error) {
	t.Helper()
	if err := do(m.d); err != nil {
		t.Fatal(err)
	}
}

// has tells whether there is what a volume is to begin as a copy of.
func (m *machine) has(from *csi.VolumeContentSource) bool {
	for _, s := range m.snapshots {
		if s.name == from.GetSnapshot().GetSnapshotId() {
			return s.exists == yes
		}
	}
	return false // what was cloned may have gone on, or be larger by now
}
