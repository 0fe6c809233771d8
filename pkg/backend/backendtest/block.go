package backendtest

import (
	"os"
	"syscall"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var blockTests = []test{
	{"a block volume is a file of its size", blockIsFile},
	{"a block volume of a size that no device can have is refused", blockSizes},
	{"a thick block volume has its blocks, a thin one has none", blockProvisioning},
	{"a thick block volume that does not fit leaves nothing", blockFull},
	{"a block volume grows, and never shrinks", blockGrows},
	{"a block volume is discarded and purged", blockEnds},
}

func blockVolume(id string, bytes int64, p state.Provisioning) state.Volume {
	v := volume(id)
	v.Spec.AccessType, v.Spec.CapacityBytes, v.Spec.Provisioning = state.BlockAccess, bytes, p
	return v
}

func readyBlock(v state.Volume) state.Volume {
	v = ready(v)
	v.Status.Path = backend.PathOf(v)
	return v
}

// wantImage fails unless there is a file of that size at the path, and returns what is
// allocated.
func (p *pool) wantImage(t *testing.T, path string, bytes int64) (allocated int64) {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !fi.Mode().IsRegular() || fi.Size() != bytes || fi.Mode().Perm() != 0o600 {
		t.Errorf("%s is %v with %d bytes; want a file with %d that only root may read", path, fi.Mode(), fi.Size(), bytes)
	}
	return fi.Sys().(*syscall.Stat_t).Blocks * 512
}

func blockIsFile(t *testing.T, p *pool) {
	v := p.build(t, blockVolume("a", 8*mib, state.Thin))
	p.wantImage(t, p.building(v), 8*mib)
	f, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for range 2 {
		if path, err := p.Place(t.Context(), v); err != nil || path != "images/a" {
			t.Errorf("placed at %q, %v", path, err)
		}
	}
	p.wantImage(t, p.in("images", "a"), 8*mib)
	p.wantRecord(t, "images/a", v)
	c, err := p.Contents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, there := c.Images["a"]; !there || len(c.Images) != 1 || len(c.Volumes) != 0 {
		t.Errorf("the pool tells that it holds %+v", c)
	}
	u, err := p.Usage(t.Context(), readyBlock(v))
	if err != nil || u.TotalBytes != 8*mib || u.UsedBytes > mib || u.TotalInodes != 0 {
		t.Errorf("usage is %+v, %v", u, err)
	}
	if err := os.Remove(p.in("images", "a")); err != nil {
		t.Fatal(err)
	}
	_, err = p.Open(readyBlock(v))
	if got := state.ReasonOf(err); got != state.Lost {
		t.Errorf("a lost image: reason %q: %v", got, err)
	}
}

func blockSizes(t *testing.T, p *pool) {
	for _, bytes := range []int64{0, -4096, 1, 512, 4095, 8*mib + 512} {
		err := p.Build(t.Context(), blockVolume("a", bytes, state.Thick))
		if got := state.ReasonOf(err); got != state.Invalid {
			t.Errorf("%d bytes: reason %q: %v", bytes, got, err)
		}
	}
}

func blockProvisioning(t *testing.T, p *pool) {
	p.create(t, blockVolume("thick", 8*mib, state.Thick))
	p.create(t, blockVolume("thin", 8*mib, state.Thin))
	if allocated := p.wantImage(t, p.in("images", "thick"), 8*mib); allocated < 8*mib {
		t.Errorf("a thick volume of 8 MiB has %d bytes", allocated)
	}
	if allocated := p.wantImage(t, p.in("images", "thin"), 8*mib); allocated > mib {
		t.Errorf("a thin volume that nobody wrote to has %d bytes", allocated)
	}
}

func blockFull(t *testing.T, p *pool) {
	fs, err := p.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := blockVolume("a", (fs.TotalBytes/backend.ImageUnit+1)*backend.ImageUnit, state.Thick)
	err = p.Build(t.Context(), v)
	if got := state.ReasonOf(err); got != state.NoSpace {
		t.Errorf("a volume larger than the filesystem: reason %q: %v", got, err)
	}
	if err := p.Discard(t.Context(), v); err != nil {
		t.Error(err)
	}
	// One that is there keeps its size when it cannot grow.
	b := readyBlock(p.create(t, blockVolume("b", mib, state.Thick)))
	b.Spec.CapacityBytes = v.Spec.CapacityBytes
	if got := state.ReasonOf(p.Resize(t.Context(), b)); got != state.NoSpace {
		t.Errorf("growing beyond the filesystem: reason %q", got)
	}
	if allocated := p.wantImage(t, p.in("images", "b"), mib); allocated > 2*mib {
		t.Errorf("after it could not grow it has %d bytes", allocated)
	}
}

func blockGrows(t *testing.T, p *pool) {
	for _, how := range []state.Provisioning{state.Thick, state.Thin} {
		v := readyBlock(p.create(t, blockVolume(string(how), mib, how)))
		at := p.in("images", v.ID)
		f, err := os.OpenFile(at, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteAt([]byte("data"), mib-4); err != nil {
			t.Fatal(err)
		}
		for _, bytes := range []int64{3 * mib, 3 * mib, 2 * mib} { // the last is an expansion taken back
			v.Spec.CapacityBytes = bytes
			if err := p.Resize(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			p.wantImage(t, at, 3*mib)
			p.wantRecord(t, "images/"+v.ID, v)
		}
		data := make([]byte, 8)
		if _, err := f.ReadAt(data, mib-4); err != nil || string(data) != "data\x00\x00\x00\x00" {
			t.Errorf("around the old end is %q, %v", data, err)
		}
	}
}

func blockEnds(t *testing.T, p *pool) {
	v := readyBlock(p.create(t, blockVolume("a", mib, state.Thick)))
	for range 2 {
		if err := p.Discard(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantImage(t, p.trashed(v), mib)
	if err := p.Purge(t.Context(), backend.PassingName(v), func(int) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(p.trashed(v)); !os.IsNotExist(err) {
		t.Errorf("the trash still holds it: %v", err)
	}
	// The name is free for a volume of either kind; and a volume of another life, with
	// the same name, is left alone.
	again := blockVolume("a", mib, state.Thin)
	p.create(t, again)
	if err := p.Discard(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	p.wantRecord(t, "images/a", again)
}
