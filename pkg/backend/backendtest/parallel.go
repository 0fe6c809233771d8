package backendtest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var parallelTests = []test{
	{"a thousand volumes, or many, come and go, 32 at a time", thousand},
	{"a volume is found whenever it is looked for while it is placed", openWhilePlacing},
}

// inParallel calls do for each of all, n at a time.
func inParallel[T any](n int, all []T, do func(T)) {
	todo := make(chan T)
	var work sync.WaitGroup
	for range n {
		work.Go(func() {
			for x := range todo {
				do(x)
			}
		})
	}
	for _, x := range all {
		todo <- x
	}
	close(todo)
	work.Wait()
}

func thousand(t *testing.T, p *pool) {
	const atOnce = 32
	volumes := p.suite.many(1000, 200)
	var all []state.Volume
	var ids []string
	for i := range volumes {
		v := volume(number("v", i))
		all, ids = append(all, v), append(ids, v.ID)
	}
	inParallel(atOnce, all, func(v state.Volume) {
		if err := p.Build(t.Context(), v); err != nil {
			t.Error(err)
			return
		}
		if _, err := p.Place(t.Context(), v); err != nil {
			t.Error(err)
		}
	})
	p.wantContents(t, ids, nil, nil)
	inodes := map[[2]uint64]string{}
	for _, v := range all {
		p.wantRecord(t, "volumes/"+v.ID, v)
		f, err := p.Open(v)
		if err != nil {
			t.Fatal(err)
		}
		ino := inodeOf(t, f)
		_ = f.Close()
		if other, taken := inodes[ino]; taken {
			t.Fatalf("volumes %s and %s are the same directory", v.ID, other)
		}
		inodes[ino] = v.ID
	}
	inParallel(atOnce, all, func(v state.Volume) {
		if err := p.Discard(t.Context(), ready(v)); err != nil {
			t.Error(err)
		}
		if err := p.Settle(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if told := p.purgeAll(t); told != volumes {
		t.Errorf("told of %d inodes, want %d", told, volumes)
	}
	p.wantContents(t, nil, nil, nil)
}

func openWhilePlacing(t *testing.T, p *pool) {
	for i := range 100 {
		v := p.build(t, volume(number("v", i)))
		var placed atomic.Bool
		var work sync.WaitGroup
		work.Go(func() {
			for last := false; !last; {
				last = placed.Load()
				f, err := p.Open(v)
				if err != nil {
					t.Errorf("a volume that is being placed: %v", err)
					return
				}
				_ = f.Close()
			}
		})
		if _, err := p.Place(t.Context(), v); err != nil {
			t.Error(err)
		}
		placed.Store(true)
		work.Wait()
	}
}
