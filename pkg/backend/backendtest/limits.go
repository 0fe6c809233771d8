package backendtest

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// limitTests are for backends that hold a volume to its size.
var limitTests = []test{
	{"a volume takes its size and no more", limitHolds},
	{"a volume that was made larger goes on taking data", limitRaised},
	{"a limit is the volume's own", limitsApart},
}

// fill writes to a file until the filesystem refuses, and returns how much it took.
func fill(t *testing.T, path string) (taken int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := noise(256 << 10)
	for taken < 1<<30 {
		n, err := f.Write(chunk)
		taken += int64(n)
		if err == nil {
			err = f.Sync() // a filesystem may allocate, and refuse, late
		}
		if err != nil {
			if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
				t.Errorf("the volume is full: %v, want ENOSPC or EDQUOT", err)
			}
			return taken
		}
	}
	t.Fatalf("%s took %d bytes and no end", path, taken)
	return 0
}

// wantAbout checks that a volume of want bytes took these, and little more: what the
// filesystem takes of the limit for itself is not the user's loss.
func wantAbout(t *testing.T, what string, got, want int64) {
	t.Helper()
	if got < want || got > want+want/8+4*mib {
		t.Errorf("%s took %d bytes, want %d and little more", what, got, want)
	}
}

func limitHolds(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.CapacityBytes = 32 * mib
	v = p.create(t, v)
	wantAbout(t, "a volume of 32 MiB", fill(t, p.placed(v)+"/file"), 32*mib)
	u, err := p.Usage(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	if u.TotalBytes != 32*mib || u.AvailableBytes > mib {
		t.Errorf("a full volume tells of %+v", u)
	}
	if err := os.Remove(p.placed(v) + "/file"); err != nil {
		t.Fatal(err)
	}
	wantAbout(t, "the emptied volume", fill(t, p.placed(v)+"/again"), 32*mib)
}

func limitRaised(t *testing.T, p *pool) {
	v := volume("a")
	v.Spec.CapacityBytes = 16 * mib
	v = p.create(t, v)
	taken := fill(t, p.placed(v)+"/file")
	v.Spec.CapacityBytes = 48 * mib
	v.Generation++
	if err := p.Resize(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	wantAbout(t, "the enlarged volume", taken+fill(t, p.placed(v)+"/file"), 48*mib)
}

func limitsApart(t *testing.T, p *pool) {
	a, b := volume("a"), volume("b")
	a.Spec.CapacityBytes, b.Spec.CapacityBytes = 16*mib, 16*mib
	a, b = p.create(t, a), p.create(t, b)
	wantAbout(t, "one volume", fill(t, p.placed(a)+"/file"), 16*mib)
	wantAbout(t, "the other volume", fill(t, p.placed(b)+"/file"), 16*mib)
	p.discard(t, a)
	p.purgeAll(t)
	c := volume("c")
	c.Spec.CapacityBytes = 16 * mib
	c = p.create(t, c)
	wantAbout(t, "a volume after another was deleted", fill(t, p.placed(c)+"/file"), 16*mib)
}
