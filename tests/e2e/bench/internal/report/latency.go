package report

import (
	"math"
	"slices"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/prom"
)

// Of sums up single durations. A percentile is the smallest that so many do not exceed.
func Of(durations []time.Duration) Latency {
	if len(durations) == 0 {
		return Latency{}
	}
	sorted := slices.Sorted(slices.Values(durations))
	at := func(q float64) float64 {
		// The small step down keeps 0.95 * 20, which is 19.000000000000004, at rank 19.
		rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
		return sorted[min(max(rank, 1), len(sorted))-1].Seconds()
	}
	var sum time.Duration
	for _, d := range sorted {
		sum += d
	}
	return Latency{Mean: sum.Seconds() / float64(len(sorted)), P50: at(0.50), P95: at(0.95), P99: at(0.99)}
}

// OfHistogram sums up what a histogram counted.
func OfHistogram(h prom.Histogram) Latency {
	return Latency{Mean: h.Mean(), P50: h.Quantile(0.50), P95: h.Quantile(0.95), P99: h.Quantile(0.99)}
}
