package load

import (
	"testing"
	"time"
)

func upTo(n int) []time.Duration {
	d := make([]time.Duration, n)
	for i := range d {
		d[n-1-i] = time.Duration(i + 1) // descending: the order must not matter
	}
	return d
}

func TestPercentile(t *testing.T) {
	for _, tc := range []struct {
		name string
		d    []time.Duration
		q    float64
		want time.Duration
	}{
		{"none", nil, 0.5, 0},
		{"one", upTo(1), 0.99, 1},
		{"two, middle", upTo(2), 0.5, 1},
		{"twenty, p95 is the 19th", upTo(20), 0.95, 19},
		{"hundred, p50", upTo(100), 0.50, 50},
		{"hundred, p99", upTo(100), 0.99, 99},
		{"101, p99 rounds up", upTo(101), 0.99, 100},
		{"lowest", upTo(10), 0, 1},
		{"highest", upTo(10), 1, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Percentile(tc.d, tc.q); got != tc.want {
				t.Errorf("Percentile(%v) = %d, want %d", tc.q, got, tc.want)
			}
		})
	}
}

func TestPercentileLeavesItsArgumentAlone(t *testing.T) {
	d := []time.Duration{3, 1, 2}
	Percentile(d, 0.5)
	if d[0] != 3 || d[1] != 1 || d[2] != 2 {
		t.Errorf("the durations were reordered: %v", d)
	}
}

func TestMedian(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(tc.values); got != tc.want {
			t.Errorf("Median(%v) = %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestMedianRatioIsOfPairs(t *testing.T) {
	// The machine was ten times slower during the second pair. The ratio of the
	// medians would be 0.25; each pair alone says 0.5 or 0.4.
	measured := []float64{500, 50, 400}
	base := []float64{1000, 100, 1000}
	if got := MedianRatio(measured, base); got != 0.5 {
		t.Errorf("MedianRatio = %v, want 0.5", got)
	}
	if got := MedianRatio([]float64{1, 2}, []float64{0, 4}); got != 0.5 {
		t.Errorf("a zero base counted: %v, want 0.5", got)
	}
	if got := MedianRatio(nil, nil); got != 0 {
		t.Errorf("MedianRatio of nothing = %v, want 0", got)
	}
}

func TestPerSecond(t *testing.T) {
	s := Sample{Elapsed: 2 * time.Second, Latencies: upTo(10)}
	if got := s.PerSecond(); got != 5 {
		t.Errorf("PerSecond = %v, want 5", got)
	}
	if got := (Sample{}).PerSecond(); got != 0 {
		t.Errorf("PerSecond of nothing = %v, want 0", got)
	}
}
