package backendtest

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

// claimTests are about volumes that are named after their claims.
var claimTests = []test{
	{"a volume named after its claim lives where its record says", claimedLife},
	{"the directories on the way go with the last volume in them", claimedWay},
	{"what is on the way and empty is found at the start, and what is not is left", claimedPruned},
	{"volumes are placed in a directory that others leave at the same time", claimedTogether},
	{"a path that is another volume's, or leads out of the pool, is refused without a trace", claimedHostile},
	{"a symbolic link on the way is not followed", claimedLinks},
	{"what lies among the claims and is no volume is told and not entered", claimedStrays},
	{"a volume named after its claim is there after closing and opening the pool", claimedReopened},
}

// claimed is volume, named after its claim.
func claimed(way, id string) state.Volume {
	v := volume(id)
	v.Spec.Path = filepath.Join(way, state.PlaceName("data", id))
	return v
}

func (p *pool) at(v state.Volume) string { return p.in("claims", v.Spec.Path) }

// wantClaims wants these paths in claims/, and no others.
func (p *pool) wantClaims(t *testing.T, want ...string) {
	t.Helper()
	c, err := p.Contents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, 0, len(c.Claims))
	for path := range c.Claims {
		got = append(got, path)
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("Contents tells of %q in claims, want %q", got, want)
	}
}

func claimedLife(t *testing.T, p *pool) {
	v := p.build(t, claimed("shop/db", "a"))
	p.wantContents(t, nil, []string{backend.PassingName(v)}, nil)
	p.wantClaims(t)
	for range 2 {
		path, err := p.Place(t.Context(), v)
		if err != nil || path != "claims/shop/db/data=a" || path != backend.PathOf(v) {
			t.Fatalf("Place returned %q, %v", path, err)
		}
	}
	p.wantContents(t, nil, nil, nil)
	p.wantClaims(t, "shop/db/data=a")
	p.wantRecord(t, backend.PathOf(v), v)
	v = ready(v)
	v.Status.Path = backend.PathOf(v)
	write(t, filepath.Join(p.at(v), "file"), "data")

	f, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(p.at(v), &st); err != nil {
		t.Fatal(err)
	}
	if inodeOf(t, f) != [2]uint64{st.Dev, st.Ino} {
		t.Error("Open opened something else")
	}
	f.Close()

	v.Spec.CapacityBytes *= 2
	v.Generation++
	if err := p.Resize(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	p.wantRecord(t, backend.PathOf(v), v)
	wantFile(t, filepath.Join(p.at(v), "file"), "data")

	from, err := p.Open(v)
	if err != nil {
		t.Fatal(err)
	}
	copied := claimed("shop", "b")
	copied.Spec.CapacityBytes = v.Spec.CapacityBytes
	copied.Spec.Source = &state.Source{Kind: state.FromVolume, ID: v.ID}
	if err := p.BuildFrom(t.Context(), copied, from, nil); err != nil {
		t.Fatal(err)
	}
	from.Close()
	if _, err := p.Place(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(p.at(copied), "file"), "data")

	p.discard(t, v)
	p.wantContents(t, nil, nil, []string{backend.PassingName(v)})
	p.wantClaims(t, "shop/data=b")
	p.purgeAll(t)
	_, err = p.Open(v)
	wantReason(t, state.Lost, err)
}

func claimedWay(t *testing.T, p *pool) {
	a, b, c := p.create(t, claimed("shop/db", "a")), p.create(t, claimed("shop/db", "b")), p.create(t, claimed("shop", "c"))
	p.discard(t, a)
	wantThere(t, p.at(b))
	p.discard(t, b)
	wantGone(t, p.in("claims/shop/db"))
	wantThere(t, p.at(c))
	p.discard(t, c)
	p.discard(t, c) // which is done again after a crash
	wantGone(t, p.in("claims/shop"))
	wantThere(t, p.in("claims"))

	v := p.build(t, claimed("team", "d"))
	wantThere(t, p.in("claims/team"))
	p.discard(t, v) // before it had its place
	wantGone(t, p.in("claims/team"))
}

func claimedPruned(t *testing.T, p *pool) {
	v := p.create(t, claimed("shop", "a"))
	mkdir(t, p.in("claims/shop/empty/too"))
	mkdir(t, p.in("claims/left/behind"))
	mkdir(t, p.in("claims/kept"))
	write(t, p.in("claims/kept/note"), "of an operator")
	if err := p.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantGone(t, p.in("claims/shop/empty"))
	wantGone(t, p.in("claims/left"))
	wantThere(t, p.at(v))
	p.wantClaims(t, "kept/note", v.Spec.Path)
}

func claimedTogether(t *testing.T, p *pool) {
	const volumes, rounds = 8, 25
	var all []string
	for i := range volumes {
		all = append(all, number("v", i))
	}
	inParallel(volumes, all, func(id string) {
		for range rounds {
			v := claimed("shop/db", id)
			err := p.Build(t.Context(), v)
			if err == nil {
				_, err = p.Place(t.Context(), v)
			}
			if err == nil {
				err = p.Discard(t.Context(), ready(v))
			}
			if err != nil {
				t.Errorf("%s: %v", id, err)
				return
			}
		}
	})
	if err := p.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	p.wantClaims(t)
	wantGone(t, p.in("claims/shop"))
	p.purgeAll(t)
}

func claimedHostile(t *testing.T, p *pool) {
	other := p.create(t, claimed("shop", "other"))
	write(t, filepath.Join(p.at(other), "file"), "data")
	for _, path := range []string{other.Spec.Path, other.Spec.Path + "/data=a", "../volumes/data=a", "shop/../data=a", "/data=a", "data=a/", "./data=a", "shop//data=a",
		"a", "shop", "..", "data=b", "a/b/c/d/e/data=a", strings.Repeat("n", 300) + "=a", "sh\x00op/data=a"} {
		v := volume("a")
		v.Spec.Path = path
		_, placeErr := p.Place(t.Context(), v)
		_, openErr := p.Open(v)
		for call, err := range map[string]error{"Build": p.Build(t.Context(), v), "Place": placeErr, "Open": openErr,
			"Discard": p.Discard(t.Context(), ready(v)), "Resize": p.Resize(t.Context(), ready(v)), "Empty": p.Empty(t.Context(), ready(v))} {
			if state.ReasonOf(err) != state.Invalid {
				t.Errorf("%s of a volume at %q: %v", call, path, err)
			}
		}
	}
	p.wantContents(t, nil, nil, nil)
	p.wantClaims(t, other.Spec.Path)
	wantFile(t, filepath.Join(p.at(other), "file"), "data")
}

func claimedLinks(t *testing.T, p *pool) {
	outside := mkdir(t, p.in("outside"))
	if err := os.Symlink(outside, p.in("claims/shop")); err != nil {
		t.Fatal(err)
	}
	v := claimed("shop", "a")
	if err := p.Build(t.Context(), v); err == nil {
		t.Error("it is built")
	}
	if err := p.Discard(t.Context(), v); err == nil {
		t.Error("it is discarded")
	}
	if there := names(t, outside); len(there) > 0 {
		t.Errorf("outside holds %v", there)
	}
	p.wantClaims(t, "shop")
}

func claimedStrays(t *testing.T, p *pool) {
	v := p.create(t, claimed("shop", "a"))
	mkdir(t, filepath.Join(p.at(v), "inside", "data=b")) // a pod's
	mkdir(t, p.in("claims/shop/no name of ours/x"))
	mkdir(t, p.in("claims/1/2/3/4/5/6"))
	write(t, p.in("claims/file"), "")
	labelled := p.create(t, volume("b"))
	if err := os.Rename(p.placed(labelled), p.in("claims/shop/moved")); err != nil {
		t.Fatal(err)
	}
	p.wantClaims(t, "1/2/3/4/5", "file", "shop/data=a", "shop/moved", "shop/no name of ours")
}

func claimedReopened(t *testing.T, p *pool) {
	if p.suite.reopen == nil {
		return // a backend that cannot be opened again
	}
	v := claimed("shop/db", "a")
	p.create(t, v)
	write(t, filepath.Join(p.at(v), "file"), "data")
	again := p.suite.wrap(t, p.suite.reopen(t, p.Backend))
	again.wantClaims(t, v.Spec.Path)
	again.wantRecord(t, backend.PathOf(v), v)
	again.discard(t, ready(v))
	again.wantClaims(t)
}
