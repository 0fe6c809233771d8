package quota

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// fakeLimits is a filesystem's quota in memory.
type fakeLimits struct {
	mu      sync.Mutex
	of      map[uint32]Usage
	failing error
}

func (f *fakeLimits) Usage(id uint32) (Usage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.of[id]
	u.ID = id
	return u, f.failing
}

func (f *fakeLimits) Next(from uint32) (Usage, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(f.of)) {
		if id >= from {
			u := f.of[id]
			u.ID = id
			return u, true, f.failing
		}
	}
	return Usage{}, false, f.failing
}

func (f *fakeLimits) Clear(id uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.of[id]
	u.MaxBytes, u.MaxInodes, u.soft = 0, 0, false
	f.of[id] = u
	return f.failing
}

func (f *fakeLimits) change(id uint32, change func(*Usage)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.of[id]
	change(&u)
	f.of[id] = u
}

// TestIDs lets volumes come and go, with foreign users beside them, and at every step
// wants: no ID is with two, none is given out that means something to the filesystem,
// and no limit is lost that a file is under or a record has.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Range{First: rapid.SampledFrom([]uint32{1, 1000, 1<<32 - 66}).Draw(t, "first"), Count: rapid.Uint32Range(1, 65).Draw(t, "count")}
		fs := &fakeLimits{of: map[uint32]Usage{}}
		a, err := newIDs(fs, r)
		if err != nil {
			t.Fatal(err)
		}
		inRange := rapid.Uint32Range(r.First, r.First+r.Count-1)
		records := map[uint32]bool{} // true: it was built
		data := map[uint32]bool{}    // carried by files of this driver's
		foreign := map[uint32]bool{}
		pick := func(t *rapid.T, of map[uint32]bool) uint32 {
			if len(of) == 0 {
				t.Skip("none")
			}
			return rapid.SampledFrom(slices.Sorted(maps.Keys(of))).Draw(t, "id")
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				id, err := a.Take()
				if state.ReasonOf(err) == state.NoSpace {
					for i := range r.Count {
						if u, _ := fs.Usage(r.First + i); !u.InUse() {
							if _, is := records[r.First+i]; !is {
								t.Fatalf("project %d is free, and not given out", r.First+i)
							}
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, is := records[id]; is || !r.Contains(id) || data[id] || foreign[id] {
					t.Fatalf("project %d is given out: a record has it: %v, or files carry it: %v, %v", id, is, data[id], foreign[id])
				}
				if u, _ := fs.Usage(id); u.InUse() {
					t.Fatalf("project %d is given out: %+v", id, u)
				}
				records[id] = false
			},
			"build": func(t *rapid.T) {
				id := pick(t, records)
				fs.change(id, func(u *Usage) { u.Inodes, u.MaxBytes = max(1, u.Inodes), 1<<20 })
				records[id], data[id] = true, true
			},
			"drop the record": func(t *rapid.T) {
				id := pick(t, records)
				delete(records, id)
				if err := a.Release(id); err != nil {
					t.Fatal(err)
				}
			},
			"remove the data": func(t *rapid.T) {
				id := pick(t, data)
				if records[id] {
					t.Skip("it is a living volume's")
				}
				delete(data, id)
				fs.change(id, func(u *Usage) { u.Inodes = 0 })
				if err := a.Retire(id); err != nil {
					t.Fatal(err)
				}
			},
			"somebody else comes": func(t *rapid.T) {
				id := inRange.Draw(t, "id")
				if _, is := records[id]; is || data[id] {
					t.Skip("not his")
				}
				foreign[id] = true
				fs.change(id, func(u *Usage) { u.Inodes, u.Bytes, u.soft = 1, 4096, true })
			},
			"somebody else goes": func(t *rapid.T) {
				id := pick(t, foreign)
				delete(foreign, id)
				fs.change(id, func(u *Usage) { *u = Usage{} })
			},
			"restart": func(t *rapid.T) {
				if a, err = newIDs(fs, r); err != nil {
					t.Fatal(err)
				}
				for id := range records {
					if err := a.Hold(id); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := a.Sweep(); err != nil {
					t.Fatal(err)
				}
				for i := range r.Count {
					id := r.First + i
					u, _ := fs.Usage(id)
					if _, is := records[id]; !is && u.Limited() && u.Inodes == 0 {
						t.Fatalf("swept, and left behind: %+v", u)
					}
				}
			},
			"": func(t *rapid.T) {
				for id := range data {
					if u, _ := fs.Usage(id); u.MaxBytes == 0 {
						t.Fatalf("project %d has data and lost its limit", id)
					}
				}
				for id := range foreign {
					if u, _ := fs.Usage(id); !u.soft {
						t.Fatalf("project %d is somebody else's and lost its limit", id)
					}
				}
			},
		})
	})
}

func TestIDsConcurrently(t *testing.T) {
	fs := &fakeLimits{of: map[uint32]Usage{7: {Inodes: 3}, 20: {MaxInodes: 1}}}
	a, err := newIDs(fs, Range{First: 5, Count: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var work sync.WaitGroup
	owner := map[uint32]bool{7: true, 20: true}
	for range 8 {
		work.Go(func() {
			for i := range 500 {
				id, err := a.Take()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if owner[id] {
					t.Errorf("project %d was given out twice", id)
				}
				owner[id] = true
				mu.Unlock()
				if i%5 == 0 {
					continue // this one lives on
				}
				mu.Lock()
				delete(owner, id)
				mu.Unlock()
				if err := errors.Join(a.Release(id), a.Retire(id)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
}

func TestHold(t *testing.T) {
	fs := &fakeLimits{of: map[uint32]Usage{10: {Inodes: 1, MaxBytes: 1}}}
	a, err := newIDs(fs, Range{First: 10, Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint32{10, 99} { // in use by the record's volume; of an earlier range
		if err := a.Hold(id); err != nil {
			t.Error(err)
		}
		if err := a.Hold(id); state.ReasonOf(err) != state.Defect {
			t.Errorf("project %d is held twice: %v, want Defect", id, err)
		}
	}
	if id, err := a.Take(); id != 11 || err != nil {
		t.Errorf("took %d, %v; want 11, the only one left", id, err)
	}
	if _, err := a.Take(); state.ReasonOf(err) != state.NoSpace {
		t.Errorf("taking from an empty range: %v, want NoSpace", err)
	}
	// A record is released before its data is gone, and its ID stays reserved until then.
	if err := a.Release(10); err != nil {
		t.Error(err)
	}
	if _, err := a.Take(); state.ReasonOf(err) != state.NoSpace {
		t.Errorf("taking while a deleted volume's data is there: %v, want NoSpace", err)
	}
	fs.change(10, func(u *Usage) { u.Inodes = 0 })
	if err := a.Retire(10); err != nil {
		t.Error(err)
	}
	if id, err := a.Take(); id != 10 || err != nil {
		t.Errorf("took %d, %v; want 10 again", id, err)
	}
	if err := errors.Join(a.Release(99), a.Retire(99)); err != nil {
		t.Error(err)
	}
	if err := a.Hold(99); err != nil {
		t.Errorf("holding what was released: %v", err)
	}
}

func TestIDsTellErrors(t *testing.T) {
	broken := errors.New("broken")
	fs := &fakeLimits{of: map[uint32]Usage{1: {MaxBytes: 1}}, failing: broken}
	a, err := newIDs(fs, Range{First: 1, Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, taken := a.Take()
	_, swept := a.Sweep()
	for what, err := range map[string]error{"taking": taken, "sweeping": swept, "retiring": a.Retire(1)} {
		if !errors.Is(err, broken) {
			t.Errorf("%s on a broken filesystem: %v", what, err)
		}
	}
	fs.failing = nil
	if id, err := a.Take(); id != 2 || err != nil {
		t.Errorf("took %d, %v after the filesystem was mended; want 2", id, err)
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		Range
		valid bool
	}{
		{DefaultRange, true},
		{Range{First: 1, Count: 1}, true},
		{Range{First: 1<<32 - 2, Count: 1}, true},
		{Range{First: 1<<32 - 2, Count: 2}, false},
		{Range{First: 0, Count: 1}, false},
		{Range{First: 1, Count: 0}, false},
		{Range{First: 1, Count: maxCount + 1}, false},
	} {
		if err := c.Validate(); (err == nil) != c.valid {
			t.Errorf("%+v: %v, valid is to be %v", c.Range, err, c.valid)
		}
	}
}
