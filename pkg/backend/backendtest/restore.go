package backendtest

import (
	"path/filepath"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// restoreTests are about deleted volumes that come back from the archive.
var restoreTests = []test{
	{"a volume comes back from the archive as it was", restoreDirectory},
	{"a block volume comes back from the archive as it was", restoreImage},
	{"what is not answered for stays in the archive", restoreUndone},
}

// restoreLimitTests are for backends that hold a volume to its size.
var restoreLimitTests = []test{
	{"a volume that came back from the archive is held to its size", restoreLimited},
}

// archive deletes a volume that is to be kept, and returns its name in the archive.
func (p *pool) archive(t *testing.T, v state.Volume) string {
	t.Helper()
	v = ready(v)
	v.Spec.OnDelete = state.OnDeleteArchive
	p.discard(t, v)
	name, err := p.Archive(backend.PassingName(v))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// comingBack is the next life of a volume, which is to be made of something in the archive.
func comingBack(was state.Volume, name string) state.Volume {
	v := was
	v.UID, v.Status = volume(was.ID).UID, state.VolumeStatus{}
	v.Spec.Adopt = "archive/" + name
	return v
}

func (p *pool) restore(t *testing.T, v state.Volume) {
	t.Helper()
	if err := p.Adopt(t.Context(), v, mayTake); err != nil {
		t.Fatal(err)
	}
	if path, err := p.Place(t.Context(), v); err != nil || path != backend.PathOf(v) {
		t.Fatalf("Place: %q, %v", path, err)
	}
}

func restoreDirectory(t *testing.T, p *pool) {
	was := p.create(t, volume("a"))
	write(t, filepath.Join(p.placed(was), "file"), "data")
	name := p.archive(t, was)
	v := comingBack(was, name)
	p.restore(t, v)
	wantGone(t, p.in("archive/"+name))
	wantFile(t, filepath.Join(p.placed(v), "file"), "data")
	p.wantRecord(t, backend.PathOf(v), v)
	v = ready(v)
	v.Spec.CapacityBytes *= 2
	v.Generation++
	if err := p.Resize(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	p.discard(t, v)
	p.purgeAll(t)
}

func restoreImage(t *testing.T, p *pool) {
	was := p.blockWith(t, "a", "data", state.Thin)
	name := p.archive(t, was)
	v := comingBack(was, name)
	p.restore(t, v)
	wantGone(t, p.in("archive/"+name))
	p.wantImage(t, p.in("images/a"), 8*mib)
	wantAt(t, p.in("images/a"), 8*mib-4096, "data")
	p.wantRecord(t, "images/a", v)
	p.discard(t, readyBlock(v))
	p.purgeAll(t)
}

func restoreUndone(t *testing.T, p *pool) {
	directory, image := p.create(t, volume("a")), p.blockWith(t, "b", "data", state.Thin)
	write(t, filepath.Join(p.placed(directory), "file"), "data")
	for _, was := range []state.Volume{directory, image} {
		name := p.archive(t, was)
		v := comingBack(was, name)
		if err := p.Adopt(t.Context(), v, mayTake); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := p.Discard(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		if was.Spec.AccessType == state.MountAccess {
			wantFile(t, p.in("archive", name, "file"), "data")
		} else {
			wantAt(t, p.in("archive", name), 8*mib-4096, "data")
		}
		kept, err := p.OpenArchived(name)
		if err != nil || kept.Volume.UID != was.UID {
			t.Fatalf("the archive has %+v, %v", kept.Volume, err)
		}
		_ = kept.File.Close()
		if err := p.Expire(name, mayTake); err != nil {
			t.Fatal(err)
		}
	}
	p.purgeAll(t)
}

func restoreLimited(t *testing.T, p *pool) {
	was := volume("a")
	was.Spec.CapacityBytes = 32 * mib
	was = p.create(t, was)
	write(t, filepath.Join(p.placed(was), "large"), string(noise(16*mib)))
	v := comingBack(was, p.archive(t, was))
	p.restore(t, v)
	v = ready(v)
	wantAbout(t, "a directory of 16 MiB that has 32 MiB", 16*mib+fill(t, filepath.Join(p.placed(v), "more")), 32*mib)
	u, err := p.Usage(t.Context(), v)
	if err != nil || u.UsedBytes < 31*mib || u.TotalBytes != 32*mib {
		t.Errorf("its usage is %+v (%v)", u, err)
	}
}
