package quota

import "math/bits"

// bitmap is a set of the numbers below a bound that finds the lowest absent one in a
// step per level, each of which covers 64 times as many numbers: four levels for 16
// million.
type bitmap struct {
	// levels[0] has a bit for each number; a bit of levels[n+1] is set while all 64
	// bits of its word of levels[n] are.
	levels [][]uint64
}

func newBitmap(bound int) *bitmap {
	b := &bitmap{}
	for n := bound; ; {
		words := (n + 63) / 64
		level := make([]uint64, words)
		if rest := n % 64; rest != 0 {
			level[words-1] = ^uint64(0) << rest // beyond the bound: never absent
		}
		b.levels = append(b.levels, level)
		if words == 1 {
			return b
		}
		n = words
	}
}

func (b *bitmap) has(i int) bool { return b.levels[0][i/64]&(1<<(i%64)) != 0 }

func (b *bitmap) add(i int) {
	for _, level := range b.levels {
		word := &level[i/64]
		*word |= 1 << (i % 64)
		if *word != ^uint64(0) {
			return
		}
		i /= 64
	}
}

func (b *bitmap) remove(i int) {
	for _, level := range b.levels {
		word := &level[i/64]
		wasFull := *word == ^uint64(0)
		*word &^= 1 << (i % 64)
		if !wasFull {
			return
		}
		i /= 64
	}
}

// lowestAbsent returns the lowest number below the bound that is not in the set.
func (b *bitmap) lowestAbsent() (i int, ok bool) {
	for n := len(b.levels) - 1; n >= 0; n-- {
		word := b.levels[n][i]
		if word == ^uint64(0) {
			return 0, false // so it is only at the top
		}
		i = i*64 + bits.TrailingZeros64(^word)
	}
	return i, true
}
