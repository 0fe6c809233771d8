package pool

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// archived makes a volume, deletes it, and returns its name in the archive.
func archived(t testing.TB, p *Pool, id string) string {
	t.Helper()
	name, err := p.Archive(deleted(t, p, kept(id, state.OnDeleteArchive)))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// comingBack is a volume that is to be made of something in the archive: another life.
func comingBack(id, name, uid string) state.Volume {
	v := volume(id)
	v.UID, v.Spec.Adopt = strings.Repeat(uid, 32), ArchivedPath(name)
	return v
}

func (p *Pool) restore(t testing.TB, v state.Volume, own func(*state.Meta) error) error {
	t.Helper()
	nothing := func(*os.File) error { return nil }
	return p.Adopt(t.Context(), v, own, nothing, nothing)
}

func nobodys(*state.Meta) error { return nil }

// wantArchived wants the archive to hold one entry, whose record is of a volume's first life.
func wantArchived(t testing.TB, p *Pool, name, id string) {
	t.Helper()
	all, err := p.Archived()
	if err != nil || len(all) != 1 || all[0].Name != name || all[0].Volume == nil || all[0].Volume.ID != id || all[0].Volume.UID != volume(id).UID {
		t.Errorf("the archive holds %+v, %v", all, err)
	}
	if b, err := os.ReadFile(filepath.Join(p.Path(), ArchiveDir, name, "file")); err != nil || string(b) != "data of "+id {
		t.Errorf("it holds %q, %v", b, err)
	}
}

func TestUntilItIsAnsweredForItIsTheArchivesAsItWas(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	name := archived(t, p, "a")
	v := comingBack("b", name, "1")
	for range 2 {
		if err := p.restore(t, v, nobodys); err != nil {
			t.Fatal(err)
		}
		wantArchived(t, p, name, "a")
	}
	for range 2 {
		if err := p.Disown(v, func(*os.File) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	wantArchived(t, p, name, "a")
	if err := p.Expire(name, func(heir *state.Meta) error {
		t.Errorf("it is to become %+v", heir)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsToBecomeAVolumeIsNeitherAnothersNorRemoved(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	name := archived(t, p, "a")
	first, second := comingBack("b", name, "1"), comingBack("c", name, "2")
	if err := p.restore(t, first, nobodys); err != nil {
		t.Fatal(err)
	}
	refuse := func(heir *state.Meta) error {
		if heir == nil || heir.ID != "b" || heir.UID != first.UID {
			t.Errorf("it is to become %+v", heir)
		}
		return state.Errorf(state.AlreadyExists, "it is promised")
	}
	wantReason(t, state.AlreadyExists, p.restore(t, second, refuse))
	wantReason(t, state.AlreadyExists, p.Expire(name, refuse))
	if err := p.Discard(second); err != nil { // which takes nothing of the first's
		t.Fatal(err)
	}
	wantArchived(t, p, name, "a")
	// The record of the first is gone, and nobody took the promise off.
	if err := p.restore(t, second, nobodys); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Place(first); state.ReasonOf(err) != state.Lost {
		t.Errorf("it is placed as another: %v", err)
	}
	if path, err := p.Place(second); err != nil || path != "volumes/c" {
		t.Errorf("Place: %q, %v", path, err)
	}
}

func TestWhatComesBackIsAnotherLifeAndDiesItsOwnDeath(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	name := archived(t, p, "a")
	v := comingBack("a", name, "1")
	v.Spec.OnDelete = state.OnDeleteRemove
	if err := p.restore(t, v, nobodys); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as at a start after a crash
		if path, err := p.Place(v); err != nil || path != "volumes/a" {
			t.Fatalf("Place: %q, %v", path, err)
		}
	}
	if there, err := p.ReadRecord("volumes/a"); err != nil || there.UID != v.UID {
		t.Errorf("it carries %+v, %v", there, err)
	}
	if all, err := p.Archived(); err != nil || len(all) > 0 {
		t.Errorf("the archive holds %+v, %v", all, err)
	}
	old := kept("a", state.OnDeleteArchive) // whose record may not be gone yet
	if err := p.Discard(old); err != nil {
		t.Fatal(err)
	}
	v.Status.Phase = state.Ready
	opened, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	_ = opened.Close()
	if err := p.Discard(v); err != nil {
		t.Fatal(err)
	}
	wantFate(t, p, backend.PassingName(v), "")
}

func TestOnlyWhatWasAVolumeComesBackAndOnlyToAFreePlace(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	name := archived(t, p, "a")
	mkdir(t, p.Path(), ArchiveDir, "by-hand")
	if err := os.Symlink(name, filepath.Join(p.Path(), ArchiveDir, "link")); err != nil {
		t.Fatal(err)
	}
	block := comingBack("b", name, "1")
	block.Spec.AccessType = state.BlockAccess
	taken := comingBack("taken", name, "1")
	mkdir(t, p.Path(), VolumesDir, "taken")
	for what, c := range map[string]struct {
		v      state.Volume
		reason state.Reason
	}{
		"nothing":               {comingBack("b", "nosuch", "1"), state.NotFound},
		"a directory of nobody": {comingBack("b", "by-hand", "1"), state.NotFound},
		"a symbolic link":       {comingBack("b", "link", "1"), state.NotFound},
		"the archive":           {comingBack("b", "", "1"), state.Invalid},
		"what is in it":         {comingBack("b", name+"/file", "1"), state.Invalid},
		"another access type":   {block, state.Incompatible},
		"a place that is taken": {taken, state.Defect},
	} {
		err := p.restore(t, c.v, nobodys)
		if state.ReasonOf(err) != c.reason {
			t.Errorf("%s: %v, want %s", what, err, c.reason)
		}
		if err := p.Discard(c.v); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.RemoveAll(filepath.Join(p.Path(), ArchiveDir, "by-hand")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(p.Path(), ArchiveDir, "link")); err != nil {
		t.Fatal(err)
	}
	wantArchived(t, p, name, "a")
	for _, wrong := range []string{"nosuch", "..", "", name + "/file"} {
		if err := p.Expire(wrong, nobodys); err == nil {
			t.Errorf("%q is removed", wrong)
		}
	}
	trash, err := p.Trash(t.Context())
	if err != nil || slices.Contains(trash, name) {
		t.Errorf("the trash holds %q, %v", trash, err)
	}
}

// What lies where a volume was to adopt something may be anything: it must not keep the record of
// the failed volume from being ended.
func TestWhatCanCarryNoRecordWasNotAdopted(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	kept := comingBack("b", archived(t, p, "a"), "1")
	for _, adopt := range []string{"legacy", kept.Spec.Adopt + "-b"} {
		v := kept
		v.Spec.Adopt = adopt
		at := filepath.Join(p.Path(), adopt)
		for name, make := range map[string]func() error{
			"a socket":                  func() error { return unix.Mknod(at, unix.S_IFSOCK|0o600, 0) },
			"a pipe":                    func() error { return unix.Mkfifo(at, 0o600) },
			"a device":                  func() error { return unix.Mknod(at, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) },
			"a device without a driver": func() error { return unix.Mknod(at, unix.S_IFBLK|0o600, int(unix.Mkdev(240, 240))) },
			"a symbolic link":           func() error { return os.Symlink("/", at) },
			"a file":                    func() error { return os.WriteFile(at, nil, 0o600) },
		} {
			if err := make(); err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{"disown": p.Disown(v, func(*os.File) error { return nil }), "discard": p.Discard(v)} {
				if err != nil {
					t.Errorf("%s of what adopts %s, where %s is: %v", what, adopt, name, err)
				}
			}
			if err := os.Remove(at); err != nil {
				t.Errorf("%s was touched: %v", name, err)
			}
		}
	}
}

// What cannot be read is not known to be absent: nothing is ended, and no volume called lost.
func TestADiskThatCannotBeReadIsNoSignThatNothingWasAdopted(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	legacy := comingBack("b", archived(t, p, "a"), "1")
	directory := legacy
	directory.Spec.Adopt = "legacy"
	closed, err := os.Open(p.Path())
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	there := p.root
	defer func() { p.root = there }()
	for _, v := range []state.Volume{legacy, directory} {
		p.root = closed
		refusals := map[string]error{"disown": p.Disown(v, func(*os.File) error { return nil }), "discard": p.Discard(v)}
		p.root = there
		for what, err := range refusals {
			if err == nil || state.ReasonOf(err) == state.NotFound || state.ReasonOf(err) == state.Lost {
				t.Errorf("%s of what adopts %s: %v", what, v.Spec.Adopt, err)
			}
		}
		if err := p.Disown(v, func(*os.File) error { return nil }); err != nil {
			t.Errorf("where nothing was adopted: %v", err)
		}
	}
}
