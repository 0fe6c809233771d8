package backendtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var emptyTests = []test{
	{"a volume that is emptied is the directory that it was, with nothing in it", emptyDirectory},
	{"an empty volume is emptied", emptyNothing},
	{"a volume is overwritten before it is emptied, if that is its way of being deleted", emptyScrubbed},
	{"symbolic links in a volume are removed, and not followed, when it is emptied", emptySymlinks},
	{"a volume with a mount in it is not emptied of what is mounted", emptyMount},
	{"emptying that was cut short is done again", emptyCutShort},
	{"a lost volume is not emptied", emptyLost},
}

// emptyLimitTests are for backends that hold a volume to its size.
var emptyLimitTests = []test{{"an emptied volume takes its size and no more", emptyLimit}}

var emptyBlockTests = []test{{"a block volume that is emptied reads as zeros, and has its size and its blocks", emptyBlock}}

func (p *pool) empty(t *testing.T, v state.Volume) {
	t.Helper()
	if err := p.Empty(t.Context(), v); err != nil {
		t.Fatalf("emptying %s: %v", v.ID, err)
	}
}

func (p *pool) wantEmpty(t *testing.T, v state.Volume) {
	t.Helper()
	if left := names(t, p.placed(v)); len(left) > 0 {
		t.Errorf("an emptied volume holds %v", left)
	}
}

func emptyDirectory(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.CapacityBytes = 256 * mib // the directories of a deep tree take a block each
	v.Spec.Mode, v.Spec.UserID, v.Spec.GroupID = 0o2750, 1000, 2000
	v = p.create(t, v)
	dir := p.placed(v)
	before, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		path := filepath.Join(dir, number("file", i))
		write(t, path, "data")
		if err := os.Chown(path, 3000+i, 4000+i); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, os.FileMode(i)); err != nil {
			t.Fatal(err)
		}
	}
	for kind, plant := range specialFiles {
		plant(t, filepath.Join(dir, kind))
	}
	for _, name := range []string{"deep", "deeper"} {
		dig(t, mkdir(t, filepath.Join(dir, name)), p.suite.many(3000, 2200), func(fd, _ int) {
			if err := unix.Mknodat(fd, "f", unix.S_IFREG, 0); err != nil {
				t.Fatal(err)
			}
		})
	}
	// What an earlier emptying raised has the names that this one would give.
	mkdir(t, filepath.Join(dir, ".hostpath-csi-emptying.1", "sub"))
	setFlags(t, dir+"/file-1", flagImmutable)
	if err := errors.Join(os.Chown(dir, 5000, 6000), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	named := unix.Setxattr(dir, "user.left", []byte("by the last"), 0) // not all filesystems have it
	setFlags(t, dir, flagAppend)

	p.empty(t, v)
	p.wantEmpty(t, v)
	after, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("it is another directory")
	}
	wantOwner(t, dir, 0o2750, 1000, 2000)
	if _, err := unix.Getxattr(dir, "user.left", nil); named == nil && !errors.Is(err, unix.ENODATA) {
		t.Errorf("an attribute of the directory that a pod set: %v; want it gone", err)
	}
	if got, err := p.ReadRecord(backend.VolumePath(v.ID)); err != nil || got.UID != v.UID {
		t.Errorf("the record on it: %+v, %v", got, err)
	}
	p.wantUsageOfNone(t, v)
	write(t, dir+"/file", "of the next")
	wantFile(t, dir+"/file", "of the next")
}

// wantUsageOfNone waits until the filesystem counts nothing in a volume: what the last of its
// files took, some give back in the background (XFS).
func (p *pool) wantUsageOfNone(t *testing.T, v state.Volume) {
	t.Helper()
	for ctx := soon(t); ; {
		u, err := p.Usage(ctx, v)
		switch {
		case err != nil, ctx.Err() != nil:
			t.Fatalf("usage of an emptied volume: %+v, %v", u, err)
		case u.UsedInodes <= 1:
			return
		}
	}
}

func wantOwner(t *testing.T, path string, mode uint32, uid, gid uint32) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Mode&0o7777 != mode || st.Uid != uid || st.Gid != gid {
		t.Errorf("%s has mode %#o and belongs to %d:%d; want %#o, %d:%d", path, st.Mode&0o7777, st.Uid, st.Gid, mode, uid, gid)
	}
}

func emptyNothing(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	for range 2 {
		p.empty(t, v)
	}
	p.wantEmpty(t, v)
	wantOwner(t, p.placed(v), 0o777, 0, 0)
}

func emptyScrubbed(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.OnDelete = state.OnDeleteScrub
	v = p.create(t, v)
	write(t, mkdir(t, p.placed(v)+"/sub")+"/file", "data")
	// A link from elsewhere shows what the file's blocks hold at the end.
	beside := p.in("beside")
	if err := os.Link(p.placed(v)+"/sub/file", beside); err != nil {
		if errors.Is(err, unix.EXDEV) { // a volume that is a filesystem's tree of its own
			p.empty(t, v)
			p.wantEmpty(t, v)
			return
		}
		t.Fatal(err)
	}
	p.empty(t, v)
	p.wantEmpty(t, v)
	wantFile(t, beside, "\x00\x00\x00\x00")
}

func emptySymlinks(t *testing.T, p *pool) {
	outside := mkdir(t, p.path+".outside")
	write(t, mkdir(t, outside+"/dir")+"/file", "data")
	other := p.create(t, volume("other"))
	write(t, p.placed(other)+"/file", "data")
	before := listing(t, outside)
	v := volume("a")
	v.Spec.OnDelete = state.OnDeleteScrub
	v = p.create(t, v)
	for name, to := range map[string]string{"dir": outside, "file": outside + "/dir/file", "relative": "../../../" + filepath.Base(outside),
		"root": "/", "parent": "..", "self": ".", "loop": "loop", "nowhere": "nosuch", "volume": "../other", "raised": ".hostpath-csi-emptying.1"} {
		if err := os.Symlink(to, filepath.Join(p.placed(v), name)); err != nil {
			t.Fatal(err)
		}
	}
	p.empty(t, v)
	p.wantEmpty(t, v)
	wantUntouched(t, outside, before)
	wantFile(t, p.placed(other)+"/file", "data")
}

func emptyMount(t *testing.T, p *pool) {
	bound := mkdir(t, p.path+".bound")
	write(t, bound+"/file", "data")
	v := p.create(t, volume("a"))
	at := mkdir(t, p.placed(v)+"/sub/mnt")
	write(t, p.placed(v)+"/beside", "x")
	mount(t, bound, at, "", unix.MS_BIND)
	if err := p.Empty(t.Context(), v); err == nil {
		t.Error("a volume with a mount in it was emptied")
	}
	wantFile(t, bound+"/file", "data")
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	p.empty(t, v)
	p.wantEmpty(t, v)
	wantFile(t, bound+"/file", "data")
}

func emptyCutShort(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	write(t, p.placed(v)+"/file", "data")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantReason(t, state.Canceled, p.Empty(ctx, v))
	wantFile(t, p.placed(v)+"/file", "data")
	p.empty(t, v)
	p.wantEmpty(t, v)
}

func emptyLost(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	if err := os.Rename(p.placed(v), p.path+".away"); err != nil {
		t.Fatal(err)
	}
	wantReason(t, state.Lost, p.Empty(t.Context(), v))
}

func emptyLimit(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.CapacityBytes = 32 * mib
	v = p.create(t, v)
	wantAbout(t, "a volume of 32 MiB", fill(t, p.placed(v)+"/file"), 32*mib)
	p.empty(t, v)
	wantAbout(t, "the emptied volume", fill(t, p.placed(v)+"/file"), 32*mib)
}

func emptyBlock(t *testing.T, p *pool) {
	for _, kind := range []state.Provisioning{state.Thick, state.Thin} {
		for _, onDelete := range []state.OnDelete{state.OnDeleteRemove, state.OnDeleteScrub} {
			v := blockVolume(string(kind)+"-"+string(onDelete), 8*mib, kind)
			v.Spec.OnDelete = onDelete
			v = readyBlock(p.create(t, v))
			image := p.in("images", v.ID)
			f, err := os.OpenFile(image, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(noise(8*mib), 0)
			if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
			p.empty(t, v)
			allocated := p.wantImage(t, image, 8*mib)
			if kind == state.Thick && allocated < 8*mib || kind == state.Thin && allocated > mib {
				t.Errorf("an emptied %s volume of 8 MiB has %d bytes", kind, allocated)
			}
			got, err := os.ReadFile(image)
			if err != nil || !bytes.Equal(got, make([]byte, 8*mib)) {
				t.Errorf("an emptied %s volume does not read as zeros (%v)", kind, err)
			}
			if got, err := p.ReadRecord(backend.ImagePath(v.ID)); err != nil || got.UID != v.UID {
				t.Errorf("the record on it: %+v, %v", got, err)
			}
		}
	}
}
