package backendtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// orphanTests are about what lies in a pool and belongs to nobody.
var orphanTests = []test{
	{"an orphan of any kind is removed, and nothing beside it", orphanRemoved},
	{"an orphan is removed with the record of a volume that was to be archived, and is not archived", orphanDoomed},
	{"what is somebody's stays", orphanRefused},
	{"what is mounted stays", orphanMounted},
	{"only what lies where volumes do is an orphan", orphanHostile},
}

// nobodys is for orphans that carry no record.
func nobodys(t *testing.T) func(there *state.Meta) error {
	return func(there *state.Meta) error {
		if there != nil {
			t.Errorf("it carries the record of %+v", there)
		}
		return nil
	}
}

func (p *pool) removeOrphan(t *testing.T, at string) {
	t.Helper()
	if err := p.RemoveOrphan(at, nobodys(t)); err != nil {
		t.Errorf("removing %q: %v", at, err)
	}
	wantGone(t, p.in(at))
	if n := len(names(t, p.in(".trash"))); n != 1 {
		t.Errorf("after %q, .trash holds %d entries", at, n)
	}
	p.purgeAll(t)
	p.wantContents(t, []string{"beside"}, nil, nil)
}

func orphanRemoved(t *testing.T, p *pool) {
	beside := p.create(t, volume("beside"))
	write(t, filepath.Join(p.placed(beside), "file"), "data")
	outside := mkdir(t, filepath.Join(filepath.Dir(p.path), "outside "+filepath.Base(p.path)))
	write(t, filepath.Join(outside, "file"), "data")
	p.seed(t, "volumes/of old")
	p.removeOrphan(t, "volumes/of old")
	for _, at := range []string{"volumes/plain", "volumes/beside.1", "volumes/\x1b[2J\xff\n", "volumes/-rf", "snapshots/s", "claims/shop/data=x", "claims/~odd"} {
		write(t, filepath.Join(mkdir(t, p.in(at)), "file"), "data")
		p.removeOrphan(t, at)
	}
	for _, at := range []string{"volumes/file", "images/i", "snapshots/f", "claims/f"} {
		write(t, p.in(at), "data")
		p.removeOrphan(t, at)
		if err := os.Symlink(outside, p.in(at)); err != nil {
			t.Fatal(err)
		}
		p.removeOrphan(t, at)
		if err := unix.Mkfifo(p.in(at), 0o600); err != nil {
			t.Fatal(err)
		}
		p.removeOrphan(t, at)
	}
	wantGone(t, p.in("claims/shop")) // the way to it, which is empty
	wantFile(t, filepath.Join(outside, "file"), "data")
	wantFile(t, filepath.Join(p.placed(beside), "file"), "data")
	wantReason(t, state.NotFound, p.RemoveOrphan("volumes/plain", nobodys(t)))
	wantReason(t, state.NotFound, p.RemoveOrphan("claims/shop/data=x", nobodys(t)))
}

// orphanDoomed: a volume that was in the archive, and that somebody moved back by hand.
func orphanDoomed(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.OnDelete = state.OnDeleteArchive
	v = ready(p.create(t, v))
	p.discard(t, v)
	if err := os.Rename(p.trashed(v), p.in("volumes/again")); err != nil {
		t.Fatal(err)
	}
	asked := false
	err := p.RemoveOrphan("volumes/again", func(there *state.Meta) error {
		asked = there != nil && there.ID == "a" && there.UID == v.UID
		return nil
	})
	if err != nil || !asked {
		t.Fatalf("%v, the record was told: %v", err, asked)
	}
	for name := range names(t, p.in(".trash")) {
		if name == backend.PassingName(v) || strings.HasPrefix(name, v.ID) {
			t.Errorf("in .trash it is %q, as a volume is", name)
		}
		if f, err := p.Fate(name); err != nil || f.OnDelete != "" {
			t.Errorf("its fate is %+v (%v)", f, err)
		}
	}
	p.purgeAll(t)
	p.wantContents(t, nil, nil, nil)
}

func orphanRefused(t *testing.T, p *pool) {
	v := p.build(t, volume("a"))
	if _, err := p.Place(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	refused := state.Errorf(state.AlreadyExists, "it is somebody's")
	err := p.RemoveOrphan("volumes/a", func(there *state.Meta) error {
		if there == nil || there.ID != v.ID || there.UID != v.UID {
			t.Errorf("it carries the record of %+v", there)
		}
		return refused
	})
	wantReason(t, state.AlreadyExists, err)
	p.wantRecord(t, "volumes/a", v)
	p.wantContents(t, []string{"a"}, nil, nil)
}

func orphanMounted(t *testing.T, p *pool) {
	for _, at := range []string{"volumes/x", "claims/x="} {
		mkdir(t, p.in(at))
		if err := unix.Mount("tmpfs", p.in(at), "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		err := p.RemoveOrphan(at, nobodys(t))
		write(t, p.in(at, "file"), "data") // it is where it was
		if err := unix.Unmount(p.in(at), 0); err != nil {
			t.Fatal(err)
		}
		wantReason(t, state.InUse, err)
		wantThere(t, p.in(at))
	}
}

func orphanHostile(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	mkdir(t, filepath.Join(p.placed(v), "inside"))
	claimed := volume("c")
	claimed.Spec.Path = "shop/data=c"
	claimed = p.build(t, claimed)
	if _, err := p.Place(t.Context(), claimed); err != nil {
		t.Fatal(err)
	}
	mkdir(t, p.in("claims/shop/data=c/inside"))
	mkdir(t, p.in("claims/way"))
	mkdir(t, p.in("legacy"))
	outside := mkdir(t, filepath.Join(filepath.Dir(p.path), "outside "+filepath.Base(p.path)))
	if err := errors.Join(os.Symlink(outside, p.in("claims/link")), os.Symlink("..", p.in("volumes/up")), os.WriteFile(p.in("images/file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	// A directory on the way to a volume, which a record makes an orphan by its looks.
	if err := unix.Setxattr(p.in("claims/shop"), backend.RecordXattr, []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"", ".", "..", "/", "/etc", "../outside", "volumes", "volumes/", "volumes/.", "volumes/..", "volumes/../legacy", "volumes//a", "volumes/a/", "volumes/a/inside", "volumes/up/legacy", "volumes/a\x00b",
		"images", "images/..", "images/file/x", "snapshots", "snapshots/../legacy", "claims", "claims/", "claims/..", "claims/../legacy", "claims/shop", "claims/shop/data=c/inside", "claims/way", "claims/link/x", "claims/./shop",
		"legacy", ".tmp", ".tmp/x", ".trash/x", "archive/x", ".hostpath-csi.json", strings.Repeat("n", 300), "volumes/" + strings.Repeat("n", 300)} {
		err := p.RemoveOrphan(at, func(*state.Meta) error { return nil })
		if reason := state.ReasonOf(err); reason != state.Invalid && reason != state.NotFound {
			t.Errorf("of %q it says %v", at, err)
		}
	}
	for _, at := range []string{"volumes/a/inside", "claims/shop/data=c/inside", "claims/way", "legacy", "volumes/up", "images/file"} {
		wantThere(t, p.in(at))
	}
	if trash := names(t, p.in(".trash")); len(trash) > 0 {
		t.Errorf(".trash holds %q", trash)
	}
}
