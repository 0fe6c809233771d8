package backendtest

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var lifecycleTests = []test{
	{"a new pool is empty", newPool},
	{"a built volume is not visible before it is placed", buildHides},
	{"a volume can be placed twice", placeTwice},
	{"a volume starts empty", startsEmpty},
	{"building again replaces what an earlier attempt left", buildAgain},
	{"a volume has the mode and the owner that were asked for", modeAndOwner},
	{"the record can be read while the volume is built and once it is placed", recordReads},
	{"a record of the longest names is kept whole", longRecord},
	{"an open volume is the same before and after it is placed", openSame},
	{"a volume that is not there is lost", lost},
	{"resizing writes the record", resizeRecord},
	{"resizing leaves the volume's contents alone", resizeContents},
	{"what a backend does not build it refuses without a trace", unsupported},
	{"the pool is still there", stillThere},
	{"capacity counts the filesystem", capacity},
	{"all is there after closing and opening the pool", reopened},
}

func newPool(t *testing.T, p *pool) {
	p.wantContents(t, nil, nil, nil)
	trash, err := p.Trash(t.Context())
	if err != nil || len(trash) > 0 {
		t.Errorf("Trash of a new pool: %v, %v", trash, err)
	}
}

func buildHides(t *testing.T, p *pool) {
	v := p.build(t, volume("a"))
	p.wantContents(t, nil, []string{backend.PassingName(v)}, nil)
	path, err := p.Place(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	if want := backend.VolumePath("a"); path != want {
		t.Errorf("Place returned %q, want %q", path, want)
	}
	p.wantContents(t, []string{"a"}, nil, nil)
}

func placeTwice(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	write(t, p.in("volumes", "a", "file"), "data")
	for range 2 {
		path, err := p.Place(t.Context(), v)
		if want := backend.VolumePath("a"); err != nil || path != want {
			t.Errorf("placing again: %q, %v, want %q", path, err, want)
		}
	}
	p.wantContents(t, []string{"a"}, nil, nil)
	wantFile(t, p.in("volumes", "a", "file"), "data")
}

func startsEmpty(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	if there := names(t, p.placed(v)); len(there) > 0 {
		t.Errorf("a new volume holds %v", there)
	}
}

func buildAgain(t *testing.T, p *pool) {
	v := volume("a")
	for range 3 {
		p.build(t, v)
		if there := names(t, p.building(v)); len(there) > 0 {
			t.Errorf("the volume built anew holds %v", there)
		}
		write(t, p.in(".tmp", backend.PassingName(v), "leaving"), "x")
	}
	p.create(t, v)
	if there := names(t, p.placed(v)); len(there) > 0 {
		t.Errorf("the volume holds %v", there)
	}
	p.purgeAll(t)
	p.wantContents(t, []string{"a"}, nil, nil)

	// An attempt that was cut short before the record was written.
	v = volume("b")
	mkdir(t, p.building(v))
	p.create(t, v)
	p.purgeAll(t)
	p.wantContents(t, []string{"a", "b"}, nil, nil)
}

func modeAndOwner(t *testing.T, p *pool) {
	// The mask of the process must not matter.
	old := unix.Umask(0o77)
	defer unix.Umask(old)
	for i, c := range []struct {
		mode     uint32
		uid, gid int
	}{
		{0o777, 0, 0}, {0o750, 1000, 1000}, {0o2775, 1000, 2000}, {0o2777, 0, 0}, {0o1777, 0, 100},
		{0o7777, 65534, 65534}, {0o4711, 1, 0}, {0, 0, 1}, {0o700, 1 << 30, 1 << 30},
	} {
		v := volume(number("v", i))
		v.Spec.Mode, v.Spec.UserID, v.Spec.GroupID = c.mode, c.uid, c.gid
		p.create(t, v)
		var st unix.Stat_t
		if err := unix.Stat(p.placed(v), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode&^uint32(unix.S_IFMT) != c.mode || int(st.Uid) != c.uid || int(st.Gid) != c.gid {
			t.Errorf("got mode %#o, owner %d:%d, want %#o, %d:%d", st.Mode&^uint32(unix.S_IFMT), st.Uid, st.Gid, c.mode, c.uid, c.gid)
		}
	}
}

func (p *pool) wantRecord(t *testing.T, path string, want state.Volume) {
	t.Helper()
	got, err := p.ReadRecord(path)
	if err != nil {
		t.Errorf("reading the record of %s: %v", path, err)
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the record of %s is\n%+v, want\n%+v", path, got, want)
	}
}

func recordReads(t *testing.T, p *pool) {
	v := p.build(t, volume("a"))
	p.wantRecord(t, ".tmp/"+backend.PassingName(v), v)
	if _, err := p.Place(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	p.wantRecord(t, backend.VolumePath("a"), v)
	p.discard(t, ready(v))
	p.wantRecord(t, ".trash/"+backend.PassingName(v), v)

	mkdir(t, p.in("volumes", "stray"))
	_, err := p.ReadRecord("volumes/stray")
	wantReason(t, state.NotFound, err)
	for name, damage := range map[string]string{"half": `{"id":"half","ui`, "empty": "", "other": "[]", "nameless": "{}"} {
		dir := mkdir(t, p.in("volumes", name))
		if err := unix.Setxattr(dir, backend.RecordXattr, []byte(damage), 0); err != nil {
			t.Fatal(err)
		}
		_, err := p.ReadRecord("volumes/" + name)
		wantReason(t, state.Corrupt, err)
	}
}

func longRecord(t *testing.T, p *pool) {
	v := volume(strings.Repeat("a", 63))
	v.Spec.Name = strings.Repeat("\u00e4", 128) // CSI: at most 128 characters
	v.Spec.Node, v.Spec.Pool = strings.Repeat("n", 192), strings.Repeat("p", 63)
	v.Spec.Claim = &state.Claim{Namespace: strings.Repeat("s", 63), Name: strings.Repeat("c", 253), PV: strings.Repeat("v", 253)}
	p.create(t, v)
	p.wantRecord(t, backend.VolumePath(v.ID), v)

	v = volume("endless")
	v.Spec.Name = strings.Repeat("x", 60<<10)
	wantReason(t, state.Invalid, p.Build(t.Context(), v))
	p.discard(t, v)
}

func openSame(t *testing.T, p *pool) {
	v := p.build(t, volume("a"))
	before, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if _, err := p.Place(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	after, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if x, y := inodeOf(t, before), inodeOf(t, after); x != y {
		t.Errorf("inode %v before, %v after", x, y)
	}
	for _, f := range []*os.File{before, after} {
		if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_PATH == 0 {
			t.Errorf("opened with flags %#x (%v), want O_PATH", flags, err)
		}
	}
}

func lost(t *testing.T, p *pool) {
	there := p.create(t, volume("there"))
	for _, v := range []state.Volume{volume("nowhere"), ready(volume("nowhere"))} {
		_, err := p.Open(v)
		wantReason(t, state.Lost, err)
		_, err = p.Usage(t.Context(), v)
		wantReason(t, state.Lost, err)
		_, err = p.Place(t.Context(), v)
		wantReason(t, state.Lost, err)
		wantReason(t, state.Lost, p.Resize(t.Context(), v))
	}
	if err := os.Remove(p.placed(there)); err != nil {
		t.Fatal(err)
	}
	_, err := p.Open(there)
	wantReason(t, state.Lost, err)
	p.wantContents(t, nil, nil, nil)
}

func resizeRecord(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	for _, bytes := range []int64{128 * mib, 96 * mib, 96 * mib} {
		v.Spec.CapacityBytes = bytes
		v.Generation++
		if err := p.Resize(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		p.wantRecord(t, backend.VolumePath("a"), v)
	}
	built := p.build(t, volume("b"))
	built.Spec.CapacityBytes *= 2
	if err := p.Resize(t.Context(), built); err != nil {
		t.Errorf("resizing a volume that is not placed yet: %v", err)
	}
	p.wantRecord(t, ".tmp/"+backend.PassingName(built), built)
}

func resizeContents(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.Mode, v.Spec.UserID, v.Spec.GroupID = 0o2770, 7, 8
	v = p.create(t, v)
	write(t, p.in("volumes", "a", "file"), "data")
	var before, after unix.Stat_t
	if err := unix.Stat(p.placed(v), &before); err != nil {
		t.Fatal(err)
	}
	v.Spec.CapacityBytes *= 2
	if err := p.Resize(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(p.placed(v), &after); err != nil {
		t.Fatal(err)
	}
	if before.Ino != after.Ino || before.Mode != after.Mode || before.Uid != after.Uid || before.Gid != after.Gid {
		t.Errorf("resizing changed %+v to %+v", before, after)
	}
	wantFile(t, p.in("volumes", "a", "file"), "data")
}

func unsupported(t *testing.T, p *pool) {
	snapshot := volume("snapshot")
	snapshot.Spec.Source = &state.Source{Kind: state.FromSnapshot, ID: "nosuch"}
	clone := volume("clone")
	clone.Spec.Source = &state.Source{Kind: state.FromVolume, ID: "nosuch"}
	for _, v := range []state.Volume{snapshot, clone} {
		err := p.Build(t.Context(), v)
		if err == nil {
			p.discard(t, v)
			p.purgeAll(t)
			continue // this backend builds it
		}
		if r := state.ReasonOf(err); r != state.Unsupported && r != state.NotFound && r != state.Lost {
			t.Errorf("volume %q is refused with reason %q: %v", v.ID, r, err)
		}
		p.wantContents(t, nil, nil, nil)
	}
}

func stillThere(t *testing.T, p *pool) {
	if err := p.StillThere(); err != nil {
		t.Error(err)
	}
	away := p.path + ".away"
	if err := os.Rename(p.path, away); err != nil {
		t.Fatal(err)
	}
	wantReason(t, state.NotReady, p.StillThere())
	if err := os.Rename(away, p.path); err != nil {
		t.Fatal(err)
	}
	if err := p.StillThere(); err != nil {
		t.Error(err)
	}
}

func capacity(t *testing.T, p *pool) {
	u, err := p.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if u.TotalBytes < 256*mib || u.AvailableBytes <= 0 || u.UsedBytes < 0 || u.AvailableBytes+u.UsedBytes > u.TotalBytes {
		t.Errorf("bytes make no sense: %+v", u)
	}
	if u.TotalInodes < 0 || u.UsedInodes < 0 || u.AvailableInodes < 0 || u.AvailableInodes+u.UsedInodes > u.TotalInodes {
		t.Errorf("inodes make no sense: %+v", u)
	}
	v := p.create(t, volume("a"))
	f, err := os.Create(p.in("volumes", v.ID, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const written = 32 * mib
	if _, err := f.Write(noise(written)); err != nil {
		t.Fatal(err)
	}
	syncFilesystem(t, f)
	after, err := p.Capacity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.UsedBytes - u.UsedBytes; grown < written || grown > 2*written {
		t.Errorf("%d bytes were written, and %d more are used", written, grown)
	}
}

func reopened(t *testing.T, p *pool) {
	if p.suite.reopen == nil {
		return
	}
	built, placed, gone := p.build(t, volume("built")), p.create(t, volume("placed")), p.create(t, volume("gone"))
	write(t, p.in("volumes", placed.ID, "file"), "data")
	p.discard(t, gone)
	p = p.suite.wrap(t, p.suite.reopen(t, p.Backend))
	p.wantContents(t, []string{"placed"}, []string{backend.PassingName(built)}, []string{backend.PassingName(gone)})
	placed.Status = state.VolumeStatus{} // of which the record knew nothing when it was written
	p.wantRecord(t, backend.VolumePath("placed"), placed)
	p.wantRecord(t, ".tmp/"+backend.PassingName(built), built)
	if _, err := p.Place(t.Context(), built); err != nil {
		t.Error(err)
	}
	wantFile(t, p.in("volumes", placed.ID, "file"), "data")
	p.purgeAll(t)
	p.wantContents(t, []string{"placed", "built"}, nil, nil)
}
