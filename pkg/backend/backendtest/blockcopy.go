package backendtest

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var blockCopyTests = []test{
	{"a snapshot, a restore and a clone of a block volume hold what it held", blockCopies},
	{"a copy of a block volume may be larger, and not smaller", blockCopySizes},
	{"a copy of a block volume that is called off leaves nothing", blockCopyCalledOff},
	{"a block volume's footprint is what is allocated", blockFootprint},
}

func blockSnapshot(id string, v state.Volume) state.Snapshot {
	s := snapshot(id, v)
	s.Spec.AccessType = state.BlockAccess
	return s
}

// blockWith makes a block volume of 8 MiB with some data at its end.
func (p *pool) blockWith(t *testing.T, id, data string, how state.Provisioning) state.Volume {
	t.Helper()
	v := readyBlock(p.create(t, blockVolume(id, 8*mib, how)))
	p.put(t, p.in("images", id), 8*mib-4096, data)
	return v
}

// put writes into an image, as a loop device would.
func (p *pool) put(t *testing.T, path string, at int64, data string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(data), at); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func wantAt(t *testing.T, path string, at int64, want string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, at); err != nil || string(got) != want {
		t.Errorf("%s holds %q at %d (%v), want %q", path, got, at, err, want)
	}
}

// takeBlock makes a snapshot of a block volume and places it.
func (p *pool) takeBlock(t *testing.T, id string, v state.Volume) state.Snapshot {
	t.Helper()
	s := blockSnapshot(id, v)
	if err := p.Snapshot(t.Context(), s, p.opened(t, v), nil); err != nil {
		t.Fatalf("snapshot %s: %v", id, err)
	}
	if path, err := p.PlaceSnapshot(t.Context(), s); err != nil || path != "snapshots/"+id {
		t.Fatalf("placing snapshot %s: %q, %v", id, path, err)
	}
	s.Status.Phase = state.Ready
	return s
}

func copyBlock(id string, bytes int64, how state.Provisioning, kind state.SourceKind, of string) state.Volume {
	v := blockVolume(id, bytes, how)
	v.Spec.Source = &state.Source{Kind: kind, ID: of}
	return v
}

func blockCopies(t *testing.T, p *pool) {
	const end = 8*mib - 4096
	for _, how := range []state.Provisioning{state.Thick, state.Thin} {
		id := string(how)
		v := p.blockWith(t, id, "first", how)
		s := p.takeBlock(t, "snap-"+id, v)
		p.put(t, p.in("images", id), end, "second")
		p.wantImage(t, p.in("snapshots", s.ID), 8*mib)
		wantAt(t, p.in("snapshots", s.ID), end, "first\x00")
		if r, err := p.ReadSnapshotRecord("snapshots/" + s.ID); err != nil || r.UID != s.UID {
			t.Errorf("the record on the snapshot: %+v, %v", r, err)
		}
		restored := copyBlock("restored-"+id, 8*mib, how, state.FromSnapshot, s.ID)
		p.createFrom(t, restored, p.openedSnapshot(t, s))
		cloned := copyBlock("cloned-"+id, 8*mib, how, state.FromVolume, id)
		p.createFrom(t, cloned, p.opened(t, v))
		wantAt(t, p.in("images", restored.ID), end, "first\x00")
		wantAt(t, p.in("images", cloned.ID), end, "second")
		p.wantRecord(t, "images/"+restored.ID, restored)
		// The copies live on by themselves.
		p.put(t, p.in("images", restored.ID), end, "third!")
		for range 2 {
			if err := p.DiscardSnapshot(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		p.discard(t, v)
		p.purgeAll(t)
		wantAt(t, p.in("images", restored.ID), end, "third!")
		wantAt(t, p.in("images", cloned.ID), end, "second")
		wantGone(t, p.in("snapshots", s.ID))
	}
}

func blockCopySizes(t *testing.T, p *pool) {
	v := p.blockWith(t, "a", "first", state.Thin)
	for _, how := range []state.Provisioning{state.Thick, state.Thin} {
		larger := p.createFrom(t, copyBlock("larger-"+string(how), 12*mib, how, state.FromVolume, "a"), p.opened(t, v))
		at := p.in("images", larger.ID)
		if allocated := p.wantImage(t, at, 12*mib); how == state.Thick && allocated < 12*mib || how == state.Thin && allocated > mib {
			t.Errorf("a %s copy of 12 MiB has %d bytes", how, allocated)
		}
		wantAt(t, at, 8*mib-4096, "first")
		wantAt(t, at, 8*mib-8, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	}
	smaller := copyBlock("smaller", 4*mib, state.Thin, state.FromVolume, "a")
	wantReason(t, state.OutOfRange, p.BuildFrom(t.Context(), smaller, p.opened(t, v), nil))
}

func blockCopyCalledOff(t *testing.T, p *pool) {
	v := p.blockWith(t, "a", "first", state.Thin)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, c := blockSnapshot("snap", v), copyBlock("copy", 8*mib, state.Thin, state.FromVolume, "a")
	wantReason(t, state.Canceled, p.Snapshot(ctx, s, p.opened(t, v), nil))
	wantReason(t, state.Canceled, p.BuildFrom(ctx, c, p.opened(t, v), nil))
	if err := p.DiscardSnapshot(t.Context(), s); err != nil {
		t.Error(err)
	}
	p.discard(t, c)
	p.purgeAll(t)
	for _, dir := range []string{".tmp", ".trash", "snapshots"} {
		if there := names(t, p.in(dir)); len(there) > 0 {
			t.Errorf("%s holds %v", dir, there)
		}
	}
}

func blockFootprint(t *testing.T, p *pool) {
	for how, least := range map[state.Provisioning]int64{state.Thick: 8 * mib, state.Thin: 4096} {
		v := p.blockWith(t, string(how), "first", how)
		var st unix.Stat_t
		if err := unix.Stat(p.in(backend.PathOf(v)), &st); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Footprint(t.Context(), v); err != nil || n < least || n != st.Blocks*512 {
			t.Errorf("a %s volume with %d bytes allocated: %d bytes, %v", how, st.Blocks*512, n, err)
		}
	}
}
