package quota

import (
	"testing"

	"pgregory.net/rapid"
)

func TestBitmap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.OneOf(rapid.IntRange(1, 200), rapid.IntRange(4000, 5000), rapid.Just(1<<18+1)).Draw(t, "bound")
		b, model := newBitmap(bound), map[int]bool{}
		lowest := func() (int, bool) {
			for i := range bound {
				if !model[i] {
					return i, true
				}
			}
			return 0, false
		}
		number := rapid.IntRange(0, bound-1)
		t.Repeat(map[string]func(*rapid.T){
			"add":    func(t *rapid.T) { i := number.Draw(t, "i"); b.add(i); model[i] = true },
			"remove": func(t *rapid.T) { i := number.Draw(t, "i"); b.remove(i); delete(model, i) },
			"add a run": func(t *rapid.T) {
				from := number.Draw(t, "from")
				for i := from; i < min(bound, from+130); i++ {
					b.add(i)
					model[i] = true
				}
			},
			"add the lowest": func(t *rapid.T) {
				if i, ok := b.lowestAbsent(); ok {
					b.add(i)
					model[i] = true
				}
			},
			"": func(t *rapid.T) {
				i := number.Draw(t, "i")
				if b.has(i) != model[i] {
					t.Fatalf("%d: is said to be in the set: %v", i, b.has(i))
				}
				got, ok := b.lowestAbsent()
				if want, wantOK := lowest(); got != want || ok != wantOK {
					t.Fatalf("lowest absent: %d %v, want %d %v", got, ok, want, wantOK)
				}
			},
		})
	})
}

// TestBitmapFull fills a set of three levels and makes room again.
func TestBitmapFull(t *testing.T) {
	const bound = 64*64 + 1
	b := newBitmap(bound)
	for i := range bound {
		if got, ok := b.lowestAbsent(); got != i || !ok {
			t.Fatalf("lowest absent of the numbers from %d on: %d %v", i, got, ok)
		}
		b.add(i)
	}
	if i, ok := b.lowestAbsent(); ok {
		t.Errorf("a full set lacks %d", i)
	}
	b.remove(bound - 1)
	if got, ok := b.lowestAbsent(); got != bound-1 || !ok {
		t.Errorf("lowest absent: %d %v, want the one that was removed", got, ok)
	}
}

func BenchmarkTakeFromFullRange(b *testing.B) {
	set := newBitmap(maxCount)
	for i := range maxCount - 1 {
		set.add(i)
	}
	for b.Loop() {
		i, _ := set.lowestAbsent()
		set.add(i)
		set.remove(i)
	}
}
