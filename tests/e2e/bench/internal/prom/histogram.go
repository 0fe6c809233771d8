package prom

import (
	"maps"
	"math"
	"slices"
)

// Histogram counts durations, in seconds, by how long they were at most.
type Histogram struct {
	Count, Sum float64
	upTo       map[float64]float64 // how many took at most so long
}

// And is both together.
func (h Histogram) And(other Histogram) Histogram {
	both := Histogram{Count: h.Count + other.Count, Sum: h.Sum + other.Sum, upTo: map[float64]float64{}}
	for _, one := range []Histogram{h, other} {
		for bound, count := range one.upTo {
			both.upTo[bound] += count
		}
	}
	return both
}

// Since is what came after an earlier look at the same histogram.
func (h Histogram) Since(before Histogram) Histogram {
	since := Histogram{Count: h.Count - before.Count, Sum: h.Sum - before.Sum, upTo: map[float64]float64{}}
	for bound, count := range h.upTo {
		since.upTo[bound] = count - before.upTo[bound]
	}
	return since
}

// Mean is 0 if there is nothing.
func (h Histogram) Mean() float64 {
	if h.Count == 0 {
		return 0
	}
	return h.Sum / h.Count
}

// Quantile is what the fraction q took at most, as Prometheus has it: between the bounds of
// its bucket in proportion, and the last bound for all that took longer. It is 0 if there
// is nothing.
func (h Histogram) Quantile(q float64) float64 {
	if h.Count == 0 {
		return 0
	}
	rank := q * h.Count
	var lower, below float64
	for _, bound := range slices.Sorted(maps.Keys(h.upTo)) {
		if math.IsInf(bound, 1) {
			break
		}
		count := h.upTo[bound]
		if count >= rank && count > below {
			return lower + (bound-lower)*(rank-below)/(count-below)
		}
		lower, below = bound, count
	}
	return lower
}
