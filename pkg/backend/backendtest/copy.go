package backendtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree/treetest"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var copyTests = []test{
	{"a snapshot is exactly what the volume was", snapshotIsExact},
	{"a restore and a clone are exactly what their source was", restoreIsExact},
	{"a copy keeps its source's owner and mode, unless told otherwise", copyKeepsOwner},
	{"a copy outlives its source, and nothing is left of both", copyOutlivesSource},
	{"a snapshot that was built is placed, opened, found and discarded", snapshotLifecycle},
	{"a copy that is called off leaves nothing in place", copyCalledOff},
	{"a snapshot's footprint is what the volume holds", footprint},
}

var copyLimitTests = []test{{"a restored volume is held to its own size", restoreIsLimited}}

func snapshot(id string, v state.Volume) state.Snapshot {
	var uid [16]byte
	rand.Read(uid[:])
	return state.Snapshot{
		Meta: state.Meta{ID: id, UID: hex.EncodeToString(uid[:]), Generation: 1, CreatedAt: time.Now().UTC()},
		Spec: state.SnapshotSpec{Name: "the CSI name of " + id, Volume: v.ID, VolumeUID: v.UID, Node: "node-1", Pool: "default", AccessType: state.MountAccess},
	}
}

// furnish puts one of each kind of thing into a volume.
func (p *pool) furnish(t *testing.T, v state.Volume) {
	t.Helper()
	at := p.placed(v)
	write(t, filepath.Join(at, "file"), "first")
	write(t, filepath.Join(mkdir(t, filepath.Join(at, "dir", "deeper")), "n\xffme\n"), "data")
	for _, err := range []error{
		os.Symlink("/etc/passwd", filepath.Join(at, "symlink")),
		os.Link(filepath.Join(at, "file"), filepath.Join(at, "dir", "link")),
		unix.Mkfifo(filepath.Join(at, "pipe"), 0o640),
		os.Chmod(at, os.ModeSetgid|0o750),
		os.Chown(at, 1001, 1002),
		os.Chmod(filepath.Join(at, "dir"), os.ModeSetgid|0o750),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sparse, err := os.Create(filepath.Join(at, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer sparse.Close()
	if _, err := sparse.WriteAt([]byte("end"), 8*mib); err != nil {
		t.Fatal(err)
	}
}

func (p *pool) opened(t *testing.T, v state.Volume) *os.File {
	t.Helper()
	f, err := p.Open(v)
	if err != nil {
		t.Fatalf("opening %s: %v", v.ID, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (p *pool) openedSnapshot(t *testing.T, s state.Snapshot) *os.File {
	t.Helper()
	f, err := p.OpenSnapshot(s)
	if err != nil {
		t.Fatalf("opening %s: %v", s.ID, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// take makes a snapshot and places it.
func (p *pool) take(t *testing.T, id string, v state.Volume) state.Snapshot {
	t.Helper()
	s := snapshot(id, v)
	if err := p.Snapshot(t.Context(), s, p.opened(t, v), nil); err != nil {
		t.Fatalf("snapshot %s: %v", id, err)
	}
	if _, err := p.PlaceSnapshot(t.Context(), s); err != nil {
		t.Fatalf("placing snapshot %s: %v", id, err)
	}
	s.Status.Phase = state.Ready
	return s
}

func copyVolume(id string, kind state.SourceKind, of string) state.Volume {
	v := volume(id)
	v.Spec.Source = &state.Source{Kind: kind, ID: of}
	return v
}

// createFrom builds a volume from an opened source and places it.
func (p *pool) createFrom(t *testing.T, v state.Volume, from *os.File) state.Volume {
	t.Helper()
	if err := p.BuildFrom(t.Context(), v, from, nil); err != nil {
		t.Fatalf("building %s: %v", v.ID, err)
	}
	if _, err := p.Place(t.Context(), v); err != nil {
		t.Fatalf("placing %s: %v", v.ID, err)
	}
	return ready(v)
}

func wantEqual(t *testing.T, a, b *os.File) {
	t.Helper()
	if err := treetest.Equal(a, b, tree.Options{SkipXattrs: []string{backend.RecordXattr}}); err != nil {
		t.Error(err)
	}
}

func snapshotIsExact(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.furnish(t, v)
	s := p.take(t, "snap", v)
	wantEqual(t, p.opened(t, v), p.openedSnapshot(t, s))
	write(t, filepath.Join(p.placed(v), "file"), "second")
	wantFile(t, p.in("snapshots", "snap", "file"), "first")
	if r, err := p.ReadRecord("volumes/a"); err != nil || r.UID != v.UID {
		t.Errorf("the record on the volume: %+v, %v; want that of %s", r, err, v.UID)
	}
	if r, err := p.ReadSnapshotRecord("snapshots/snap"); err != nil || r.UID != s.UID || r.Spec != s.Spec {
		t.Errorf("the record on the snapshot: %+v, %v; want %+v", r, err, s)
	}
	s.Status.SizeBytes = 7
	if err := p.RelabelSnapshot(s); err != nil {
		t.Error(err)
	}
	if r, err := p.ReadSnapshotRecord("snapshots/snap"); err != nil || r.Status.SizeBytes != 7 {
		t.Errorf("the record that was written anew: %+v, %v", r, err)
	}
}

func restoreIsExact(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.furnish(t, v)
	s := p.take(t, "snap", v)
	restored := p.createFrom(t, copyVolume("restored", state.FromSnapshot, "snap"), p.openedSnapshot(t, s))
	cloned := p.createFrom(t, copyVolume("cloned", state.FromVolume, "a"), p.opened(t, v))
	for _, c := range []state.Volume{restored, cloned} {
		wantEqual(t, p.opened(t, v), p.opened(t, c))
		write(t, filepath.Join(p.placed(c), "file"), c.ID)
		wantFile(t, filepath.Join(p.placed(c), "dir", "link"), c.ID)
	}
	wantFile(t, p.in("snapshots", "snap", "file"), "first")
	wantFile(t, filepath.Join(p.placed(v), "file"), "first")
	p.wantContents(t, []string{"a", "restored", "cloned"}, nil, nil)
}

func copyKeepsOwner(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.furnish(t, v)
	stat := func(v state.Volume) (st unix.Stat_t) {
		t.Helper()
		if err := unix.Lstat(p.placed(v), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	like := stat(p.createFrom(t, copyVolume("like", state.FromVolume, "a"), p.opened(t, v)))
	if of := stat(v); like.Mode != of.Mode || like.Uid != of.Uid || like.Gid != of.Gid {
		t.Errorf("the copy has mode %#o and owner %d:%d, its source %#o and %d:%d", like.Mode, like.Uid, like.Gid, of.Mode, of.Uid, of.Gid)
	}
	other := copyVolume("other", state.FromVolume, "a")
	other.Spec.Mode, other.Spec.UserID, other.Spec.GroupID = 0o2711, 7, 8
	other.Spec.Source.SetMode, other.Spec.Source.SetOwner = true, true
	if st := stat(p.createFrom(t, other, p.opened(t, v))); st.Mode&0o7777 != 0o2711 || st.Uid != 7 || st.Gid != 8 {
		t.Errorf("a copy that was told its own has mode %#o and owner %d:%d", st.Mode, st.Uid, st.Gid)
	}
}

func copyOutlivesSource(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.furnish(t, v)
	s := p.take(t, "snap", v)
	p.discard(t, v)
	p.purgeAll(t)
	restored := p.createFrom(t, copyVolume("restored", state.FromSnapshot, "snap"), p.openedSnapshot(t, s))
	if err := p.DiscardSnapshot(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := p.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.purgeAll(t)
	wantFile(t, filepath.Join(p.placed(restored), "dir", "link"), "first")
	wantGone(t, p.in("snapshots", "snap"))
	p.wantContents(t, []string{"restored"}, nil, nil)
}

func snapshotLifecycle(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.furnish(t, v)
	s := snapshot("snap", v)
	from := p.opened(t, v)
	for range 2 { // the second replaces the leaving of the first
		if err := p.Snapshot(t.Context(), s, from, nil); err != nil {
			t.Fatal(err)
		}
	}
	p.purgeAll(t)
	p.wantContents(t, []string{"a"}, []string{backend.PassingName(s)}, nil)
	p.openedSnapshot(t, s)
	for range 2 {
		if path, err := p.PlaceSnapshot(t.Context(), s); err != nil || path != "snapshots/snap" {
			t.Fatalf("placing: %q, %v", path, err)
		}
	}
	c, err := p.Contents(t.Context())
	if _, there := c.Snapshots["snap"]; err != nil || !there || len(c.Snapshots) != 1 {
		t.Errorf("Contents tells of the snapshots %v, %v", c.Snapshots, err)
	}
	// Another life of the same ID neither replaces nor discards it.
	other := snapshot("snap", v)
	if err := p.Snapshot(t.Context(), other, from, nil); err == nil {
		t.Error("a snapshot was built though another has its place")
	}
	if err := p.DiscardSnapshot(t.Context(), other); err != nil {
		t.Error(err)
	}
	wantThere(t, p.in("snapshots", "snap"))
	for range 2 {
		if err := p.DiscardSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	p.wantContents(t, []string{"a"}, nil, []string{backend.PassingName(s)})
	_, err = p.OpenSnapshot(s)
	wantReason(t, state.Lost, err)
	var st unix.Stat_t
	if err := unix.Stat(p.in("snapshots"), &st); err != nil || st.Mode&0o777 != 0o700 {
		t.Errorf("snapshots/ has mode %#o (%v); it is for root alone", st.Mode&0o777, err)
	}
	hostile := s
	hostile.ID = "../volumes/a"
	wantReason(t, state.Invalid, p.DiscardSnapshot(t.Context(), hostile))
	_, err = p.PlaceSnapshot(t.Context(), hostile)
	wantReason(t, state.Invalid, err)
}

func copyCalledOff(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.furnish(t, v)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, c := snapshot("snap", v), copyVolume("copy", state.FromVolume, "a")
	wantReason(t, state.Canceled, p.Snapshot(ctx, s, p.opened(t, v), nil))
	wantReason(t, state.Canceled, p.BuildFrom(ctx, c, p.opened(t, v), nil))
	if err := p.DiscardSnapshot(t.Context(), s); err != nil {
		t.Error(err)
	}
	p.discard(t, c)
	p.purgeAll(t)
	p.wantContents(t, []string{"a"}, nil, nil)
	if there := names(t, p.in("snapshots")); len(there) > 0 {
		t.Errorf("snapshots/ holds %v", there)
	}
}

func footprint(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	write(t, filepath.Join(p.placed(v), "file"), string(make([]byte, 4*mib)))
	d, err := os.Open(p.placed(v))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil { // blocks are counted when they are allocated
		t.Fatal(err)
	}
	if n, err := p.Footprint(t.Context(), v); err != nil || n < 4*mib || n > 6*mib {
		t.Errorf("a volume with 4 MiB: %d bytes, %v", n, err)
	}
}

func restoreIsLimited(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	write(t, filepath.Join(p.placed(v), "file"), "first")
	restored := p.createFrom(t, copyVolume("restored", state.FromVolume, "a"), p.opened(t, v))
	f, err := os.Create(filepath.Join(p.placed(restored), "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	written := int64(0)
	for chunk := make([]byte, mib); written < 2*v.Spec.CapacityBytes; {
		n, err := f.Write(chunk)
		written += int64(n)
		if err != nil {
			break
		}
		if err := f.Sync(); err != nil {
			break
		}
	}
	if size := restored.Spec.CapacityBytes; written < size-2*mib || written > size+4*mib {
		t.Errorf("%d bytes could be written to a volume of %d", written, size)
	}
}
