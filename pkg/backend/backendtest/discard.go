package backendtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var discardTests = []test{
	{"a placed volume is discarded", discardPlaced},
	{"a volume that was only built is discarded", discardBuilt},
	{"a volume of which there is nothing is discarded", discardNothing},
	{"a volume is discarded a second time", discardTwice},
	{"discarding leaves a later life alone", discardOtherLife},
	{"discarding takes a volume whose record was lost", discardUnlabelled},
	{"discarding leaves alone what no record speaks of", discardStray},
	{"a volume is not built over what no record speaks of", buildOverStray},
	{"a volume that a pod made immutable is discarded", discardImmutable},
	{"one name can be built and discarded again and again", manyLives},
	{"a leaving is moved to the trash", discardLeaving},
}

func discardPlaced(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	write(t, p.in("volumes", "a", "file"), "data")
	other := p.create(t, volume("a.b"))
	p.discard(t, v)
	p.wantContents(t, []string{other.ID}, nil, []string{backend.PassingName(v)})
	_, err := p.Open(v)
	wantReason(t, state.Lost, err)
	p.purgeAll(t)
	p.wantContents(t, []string{other.ID}, nil, nil)
}

func discardBuilt(t *testing.T, p *pool) {
	v := p.build(t, volume("a"))
	p.discard(t, v)
	p.wantContents(t, nil, nil, []string{backend.PassingName(v)})
	_, err := p.Place(t.Context(), v)
	wantReason(t, state.Lost, err)
}

func discardNothing(t *testing.T, p *pool) {
	p.discard(t, volume("a"))
	p.discard(t, ready(volume("b")))
	p.wantContents(t, nil, nil, nil)
}

func discardTwice(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	p.discard(t, v)
	p.discard(t, v)
	p.wantContents(t, nil, nil, []string{backend.PassingName(v)})
	p.purgeAll(t)
	p.discard(t, v)
	p.wantContents(t, nil, nil, nil)
}

func discardOtherLife(t *testing.T, p *pool) {
	first := p.create(t, volume("a"))
	p.discard(t, first)
	second := p.create(t, volume("a"))
	write(t, p.in("volumes", "a", "file"), "data")
	p.discard(t, first)
	wantFile(t, p.in("volumes", "a", "file"), "data")
	p.wantContents(t, []string{"a"}, nil, []string{backend.PassingName(first)})
	third := volume("a")
	wantReason(t, state.Defect, p.Build(t.Context(), third))
	p.discard(t, third)
	p.purgeAll(t)
	wantFile(t, p.in("volumes", "a", "file"), "data")
	second.Status = state.VolumeStatus{}
	p.wantRecord(t, backend.VolumePath("a"), second)
}

// discardUnlabelled: a volume may have been brought back by a copy without its
// extended attributes.
func discardUnlabelled(t *testing.T, p *pool) {
	v := p.create(t, volume("a"))
	if err := unix.Removexattr(p.placed(v), backend.RecordXattr); err != nil {
		t.Fatal(err)
	}
	deleting := p.create(t, volume("b"))
	if err := unix.Setxattr(p.placed(deleting), backend.RecordXattr, []byte("damaged"), 0); err != nil {
		t.Fatal(err)
	}
	deleting.Status.Phase = state.Deleting
	p.discard(t, v)
	p.discard(t, deleting)
	p.wantContents(t, nil, nil, []string{backend.PassingName(v), backend.PassingName(deleting)})
}

// discardStray: a creation that fails is discarded, and must not take with it what
// happened to have the volume's name.
func discardStray(t *testing.T, p *pool) {
	write(t, mkdir(t, p.in("volumes", "a"))+"/file", "data")
	v := volume("a")
	p.discard(t, v)
	v.Status.Phase = state.Failed
	p.discard(t, v)
	wantFile(t, p.in("volumes", "a", "file"), "data")
	p.wantContents(t, []string{"a"}, nil, nil)
}

func buildOverStray(t *testing.T, p *pool) {
	write(t, mkdir(t, p.in("volumes", "a"))+"/file", "data")
	v := volume("a")
	wantReason(t, state.Defect, p.Build(t.Context(), v))
	p.wantContents(t, []string{"a"}, nil, nil)

	// One that appears between building and placing.
	v = p.build(t, volume("b"))
	write(t, mkdir(t, p.in("volumes", "b"))+"/file", "data")
	_, err := p.Place(t.Context(), v)
	wantReason(t, state.Defect, err)
	wantFile(t, p.in("volumes", "b", "file"), "data")
	p.discard(t, v)
	wantFile(t, p.in("volumes", "b", "file"), "data")
}

func discardImmutable(t *testing.T, p *pool) {
	for _, flag := range []int{flagImmutable, flagAppend} {
		v := p.create(t, volume("a"))
		write(t, p.in("volumes", "a", "file"), "data")
		setFlags(t, p.placed(v), flag)
		p.discard(t, v)
		wantThere(t, p.trashed(v))
		p.purgeAll(t)
		p.wantContents(t, nil, nil, nil)
	}
}

func manyLives(t *testing.T, p *pool) {
	const lives = 20
	var trash []string
	for range lives {
		v := p.create(t, volume("a"))
		p.discard(t, v)
		trash = append(trash, backend.PassingName(v))
	}
	p.wantContents(t, nil, nil, trash)

	// The same life more than once, as by failing attempts: all must go.
	v := volume("b")
	for range lives {
		p.build(t, v)
		p.discard(t, v)
	}
	p.purgeAll(t)
	p.wantContents(t, nil, nil, nil)
}

func discardLeaving(t *testing.T, p *pool) {
	write(t, mkdir(t, p.in(".tmp", "a.1"))+"/file", "x")
	write(t, p.in(".tmp", "file"), "x")
	mkdir(t, p.in(".trash", "a.1")) // of an earlier scan
	built := p.build(t, volume("b"))
	for _, name := range []string{"a.1", "file"} {
		if err := p.DiscardLeaving(name); err != nil {
			t.Fatal(err)
		}
	}
	p.wantContentsOf(t, ".tmp", backend.PassingName(built))
	p.purgeAll(t)
	p.wantContents(t, nil, []string{backend.PassingName(built)}, nil)
	if err := p.DiscardLeaving("nosuch"); err == nil {
		t.Error("a leaving that is not there was moved")
	}
}

func (p *pool) wantContentsOf(t *testing.T, dir string, want ...string) {
	t.Helper()
	there := names(t, p.in(dir))
	for _, name := range want {
		if _, ok := there[name]; !ok || len(there) != len(want) {
			t.Errorf("%s holds %v, want %v", dir, there, want)
		}
	}
}
