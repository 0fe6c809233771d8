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

// adoptTests are about directories that become volumes.
var adoptTests = []test{
	{"a directory with files of many owners becomes a volume as it is", adoptMany},
	{"a directory whose adoption is not answered stays as it was", adoptUndone},
	{"a directory in the place of a volume becomes that volume where it is", adoptInPlace},
	{"a directory that belongs to somebody, or takes more than it is to have, is left alone", adoptRefused},
	{"only a directory that the pool does not use itself is adopted", adoptHostile},
}

// adoptLimitTests are for backends that hold a volume to its size.
var adoptLimitTests = []test{
	{"a directory that became a volume is held to its size", adoptLimited},
}

func mayTake(*state.Meta) error { return nil }

// seed makes a directory that can be adopted, with files in it. A volume was it before, since not all
// backends can take any directory.
func (p *pool) seed(t *testing.T, at string) string {
	t.Helper()
	v := p.create(t, volume("seed"))
	to := p.in(at)
	mkdir(t, filepath.Dir(to))
	if err := os.Rename(p.placed(v), to); err != nil {
		t.Fatal(err)
	}
	if err := unix.Removexattr(to, backend.RecordXattr); err != nil {
		t.Fatal(err)
	}
	for i, uid := range []int{0, 1000, 4294967294, 26} {
		dir := mkdir(t, filepath.Join(to, number("of", i)))
		write(t, filepath.Join(dir, "file"), "data")
		for _, name := range []string{dir, filepath.Join(dir, "file")} {
			if err := os.Lchown(name, uid, uid/2); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(os.Link(filepath.Join(to, "of-1", "file"), filepath.Join(to, "linked")), os.Symlink("/etc/passwd", filepath.Join(to, "link")), os.Chown(to, 26, 26), unix.Chmod(to, 0o2750)); err != nil {
		t.Fatal(err)
	}
	return to
}

func wantSeed(t *testing.T, at string) {
	t.Helper()
	for i, uid := range []uint32{0, 1000, 4294967294, 26} {
		var st unix.Stat_t
		path := filepath.Join(at, number("of", i), "file")
		if err := unix.Lstat(path, &st); err != nil || st.Uid != uid || st.Gid != uid/2 {
			t.Errorf("%s is %d:%d's (%v), want %d:%d", path, st.Uid, st.Gid, err, uid, uid/2)
		}
		wantFile(t, path, "data")
	}
	var st unix.Stat_t
	if err := unix.Lstat(at, &st); err != nil || st.Mode&0o7777 != 0o2750 || st.Uid != 26 {
		t.Errorf("%s has mode %o of %d (%v)", at, st.Mode, st.Uid, err)
	}
	if link, err := os.Readlink(filepath.Join(at, "link")); err != nil || link != "/etc/passwd" {
		t.Errorf("link leads to %q (%v)", link, err)
	}
}

func adopting(id, at string) state.Volume {
	v := volume(id)
	v.Spec.Adopt = at
	return v
}

func adoptMany(t *testing.T, p *pool) {
	at := p.seed(t, "legacy/db")
	v := adopting("a", "legacy/db")
	for range 2 {
		if err := p.Adopt(t.Context(), v, mayTake); err != nil {
			t.Fatal(err)
		}
	}
	wantSeed(t, at)
	p.wantRecord(t, "legacy/db", v)
	opened, err := p.Open(v) // it is answered for before it is placed
	if err != nil {
		t.Fatal(err)
	}
	before := inodeOf(t, opened)
	opened.Close()
	for range 2 {
		if path, err := p.Place(t.Context(), v); err != nil || path != backend.VolumePath("a") {
			t.Fatalf("Place: %q, %v", path, err)
		}
	}
	wantGone(t, at)
	wantSeed(t, p.placed(v))
	if opened, err = p.Open(v); err != nil || inodeOf(t, opened) != before {
		t.Fatalf("it is another directory (%v)", err)
	}
	opened.Close()
	v = ready(v)
	v.Spec.CapacityBytes *= 2
	v.Generation++
	if err := p.Resize(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	mkdir(t, at) // which is another by now
	p.discard(t, v)
	wantThere(t, at)
	p.wantContents(t, nil, nil, []string{backend.PassingName(v)})
	p.purgeAll(t)
}

func adoptUndone(t *testing.T, p *pool) {
	at := p.seed(t, "legacy/db")
	v := adopting("a", "legacy/db")
	for _, phase := range []state.Phase{"", state.Pending, state.Failed} {
		if err := p.Adopt(t.Context(), v, mayTake); err != nil {
			t.Fatal(err)
		}
		v.Status.Phase = phase
		for range 2 {
			if err := p.Discard(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		wantSeed(t, at)
		_, err := p.ReadRecord("legacy/db")
		wantReason(t, state.NotFound, err)
		v = adopting("a", "legacy/db") // another life
	}
	p.wantContents(t, nil, nil, nil)
	// Killed between the commit and its placing, and deleted then, it goes as a volume does.
	if err := p.Adopt(t.Context(), v, mayTake); err != nil {
		t.Fatal(err)
	}
	p.discard(t, ready(v))
	wantGone(t, at)
	p.wantContents(t, nil, nil, []string{backend.PassingName(v)})
}

func adoptInPlace(t *testing.T, p *pool) {
	at := p.seed(t, "volumes/a")
	v := adopting("a", "volumes/a")
	if err := p.Adopt(t.Context(), v, mayTake); err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(t.Context(), v); err != nil { // not answered for
		t.Fatal(err)
	}
	wantSeed(t, at)
	v = adopting("a", "volumes/a")
	if err := p.Adopt(t.Context(), v, mayTake); err != nil {
		t.Fatal(err)
	}
	if path, err := p.Place(t.Context(), v); err != nil || path != "volumes/a" {
		t.Fatalf("Place: %q, %v", path, err)
	}
	wantSeed(t, at)
	p.discard(t, ready(v))
	p.wantContents(t, nil, nil, []string{backend.PassingName(v)})
}

func adoptRefused(t *testing.T, p *pool) {
	at := p.seed(t, "volumes/of old")
	write(t, filepath.Join(at, "large"), string(noise(5*mib)))
	v := adopting("a", "volumes/of old")
	refused := state.Errorf(state.AlreadyExists, "it is somebody's")
	err := p.Adopt(t.Context(), v, func(there *state.Meta) error {
		if there != nil {
			t.Errorf("it carries the record %+v", there)
		}
		return refused
	})
	wantReason(t, state.AlreadyExists, err)
	_, err = p.ReadRecord("volumes/of old")
	wantReason(t, state.NotFound, err)

	v.Spec.CapacityBytes = 4 * mib
	wantReason(t, state.OutOfRange, p.Adopt(t.Context(), v, mayTake))
	if err := p.Discard(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	wantSeed(t, at)

	other := adopting("b", "volumes/of old")
	if err := p.Adopt(t.Context(), other, mayTake); err != nil {
		t.Fatal(err)
	}
	v.Spec.CapacityBytes = other.Spec.CapacityBytes
	err = p.Adopt(t.Context(), v, func(there *state.Meta) error {
		if there == nil || there.ID != "b" || there.UID != other.UID {
			t.Errorf("it carries the record %+v", there)
		}
		return refused
	})
	wantReason(t, state.AlreadyExists, err)
	if err := p.Discard(t.Context(), v); err != nil { // which takes nothing of b's
		t.Fatal(err)
	}
	p.wantRecord(t, "volumes/of old", other)
}

func adoptHostile(t *testing.T, p *pool) {
	v := p.create(t, volume("other"))
	mkdir(t, p.in("volumes/other/inside"))
	write(t, p.in("file"), "")
	outside := mkdir(t, filepath.Join(filepath.Dir(p.path), "outside "+filepath.Base(p.path)))
	if err := errors.Join(os.Symlink(outside, p.in("link")), os.Mkdir(p.in("real"), 0o755), os.Symlink(p.in("real"), p.in("loop"))); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{".", "..", "/", "/etc", "../outside", "real/..", "real/", "./real", "real//x", "volumes", "volumes/other/inside", "images", "images/x", "snapshots/x", ".tmp/x", ".trash/x", "archive/x",
		"claims", "claims/shop", "claims/shop/../data=a", ".hostpath-csi.json", "file", "link", "loop", "loop/x", "nosuch", "a\x00b", strings.Repeat("n", 300)} {
		a := adopting("a", at)
		if err := p.Adopt(t.Context(), a, mayTake); err == nil {
			t.Errorf("%q is adopted", at)
		}
		if err := p.Discard(t.Context(), a); err != nil {
			t.Errorf("discarding what adopts %q: %v", at, err)
		}
	}
	block := adopting("a", "real")
	block.Spec.AccessType = state.BlockAccess
	wantReason(t, state.Unsupported, p.Adopt(t.Context(), block, mayTake))
	p.wantContents(t, []string{"other"}, nil, nil)
	wantThere(t, p.placed(v)+"/inside")
	wantThere(t, outside)
}

func adoptLimited(t *testing.T, p *pool) {
	at := p.seed(t, "legacy/db")
	write(t, filepath.Join(at, "of-1", "large"), string(noise(16*mib)))
	v := adopting("a", "legacy/db")
	v.Spec.CapacityBytes = 32 * mib
	if err := p.Adopt(t.Context(), v, mayTake); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Place(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	v = ready(v)
	// Into a directory that was there before, beside what counts already.
	wantAbout(t, "a directory of 16 MiB that has 32 MiB", 16*mib+fill(t, filepath.Join(p.placed(v), "of-2", "more")), 32*mib)
	u, err := p.Usage(t.Context(), v)
	if err != nil || u.UsedBytes < 31*mib || u.TotalBytes != 32*mib {
		t.Errorf("its usage is %+v (%v)", u, err)
	}
}
