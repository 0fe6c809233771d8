package load

import (
	"math"
	"slices"
	"time"
)

// Percentile returns the smallest of the durations that at least the fraction q
// of them do not exceed (the nearest rank), and 0 if there are none.
func Percentile(durations []time.Duration, q float64) time.Duration {
	if len(durations) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(durations))
	// The small step down keeps 0.95 * 20, which is 19.000000000000004 at times, at rank 19.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median returns the middle of the values, the mean of both middles if their
// number is even, and 0 if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// MedianRatio is the median of the ratios of what was measured to what was
// measured just beside it, pair by pair: what slows the machine down for a while
// slows both halves of a pair. Pairs with a zero base are left out.
func MedianRatio(measured, base []float64) float64 {
	ratios := make([]float64, 0, len(measured))
	for i := range min(len(measured), len(base)) {
		if base[i] > 0 {
			ratios = append(ratios, measured[i]/base[i])
		}
	}
	return Median(ratios)
}
