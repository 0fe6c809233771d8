package pool

import (
	"path"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// item is what is built, placed and discarded: a volume or a snapshot. Both come into
// being and go by the same steps.
type item struct {
	kind    string // for messages
	id, uid string
	phase   state.Phase
	passing string // its name in .tmp and .trash
	home    *dir   // where it has its place
	above   string // the directories in home on the way to it; "": none
	name    string // its name in the last of them: its ID, or one that ends in it
	adopted string // what it is made of, relative to the pool; "": nothing
	claimed string // both, as the record has them, if it is named after its claim
	path    string // of that place, relative to the pool
	record  any    // what is kept with it
	file    bool   // it is an image, not a directory
	// fate is what is to become of it in the trash; "": it is removed.
	fate state.OnDelete
}

func (i item) String() string { return i.kind + " " + i.id }

func (i item) check() error {
	if !state.ValidID(i.id) || !state.ValidID(i.uid) {
		return state.Errorf(state.Invalid, "%s ID %q with UID %q cannot name a directory", i.kind, i.id, i.uid)
	}
	if i.claimed != "" {
		if id, ok := state.PathID(i.claimed); !ok || id != i.id {
			return state.Errorf(state.Invalid, "%s cannot have the path %q", i, i.claimed)
		}
	}
	return nil
}

// inHome is where it has its place, relative to home.
func (i item) inHome() string { return path.Join(i.above, i.name) }

func (p *Pool) volume(v state.Volume) item {
	home, above, name := p.volumes, "", v.ID
	switch {
	case v.Spec.AccessType == state.BlockAccess:
		home = p.images
	case v.Spec.Path != "":
		home = p.claims
		above, name = path.Split(v.Spec.Path)
		above = strings.TrimSuffix(above, "/")
	}
	return item{kind: "volume", id: v.ID, uid: v.UID, phase: v.Status.Phase, passing: backend.PassingName(v),
		home: home, above: above, name: name, claimed: v.Spec.Path, adopted: v.Spec.Adopt, path: backend.PathOf(v), record: v, file: v.Spec.AccessType == state.BlockAccess, fate: fateOf(v)}
}

func (p *Pool) snapshot(s state.Snapshot) item {
	return item{kind: "snapshot", id: s.ID, uid: s.UID, phase: s.Status.Phase, passing: backend.PassingName(s),
		home: p.snapshots, name: s.ID, path: backend.SnapshotPath(s.ID), record: s, file: s.Spec.AccessType == state.BlockAccess}
}
