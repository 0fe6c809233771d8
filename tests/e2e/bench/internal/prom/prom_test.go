package prom

import (
	"math"
	"strings"
	"testing"
)

const before = `
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4096
# TYPE calls_seconds histogram
calls_seconds_bucket{method="Create",code="OK",le="0.1"} 1
calls_seconds_bucket{method="Create",code="OK",le="1"} 1
calls_seconds_bucket{method="Create",code="OK",le="+Inf"} 1
calls_seconds_sum{method="Create",code="OK"} 0.05
calls_seconds_count{method="Create",code="OK"} 1
`

const after = `
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 8192
# TYPE requests_total counter
requests_total{verb="POST",code="201"} 3
requests_total{verb="POST",code="409"} 1
requests_total{verb="GET",code="200"} 7
# TYPE calls_seconds histogram
calls_seconds_bucket{method="Create",code="OK",le="0.1"} 5
calls_seconds_bucket{method="Create",code="OK",le="1"} 8
calls_seconds_bucket{method="Create",code="OK",le="+Inf"} 9
calls_seconds_sum{method="Create",code="OK"} 6.05
calls_seconds_count{method="Create",code="OK"} 9
calls_seconds_bucket{method="Create",code="Aborted",le="0.1"} 2
calls_seconds_bucket{method="Create",code="Aborted",le="1"} 2
calls_seconds_bucket{method="Create",code="Aborted",le="+Inf"} 2
calls_seconds_sum{method="Create",code="Aborted"} 0.1
calls_seconds_count{method="Create",code="Aborted"} 2
calls_seconds_bucket{method="Delete",code="OK",le="0.1"} 2
calls_seconds_bucket{method="Delete",code="OK",le="1"} 2
calls_seconds_bucket{method="Delete",code="OK",le="+Inf"} 2
calls_seconds_sum{method="Delete",code="OK"} 0.1
calls_seconds_count{method="Delete",code="OK"} 2
`

func parse(t *testing.T, text string) Metrics {
	t.Helper()
	m, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestASampleHasAllLabelsThatAreAskedFor(t *testing.T) {
	m := parse(t, after)
	for _, c := range []struct {
		name   string
		labels Labels
		want   float64
	}{
		{"process_resident_memory_bytes", nil, 8192},
		{"requests_total", nil, 11},
		{"requests_total", Labels{"verb": "POST"}, 4},
		{"requests_total", Labels{"verb": "POST", "code": "409"}, 1},
		{"requests_total", Labels{"verb": "PUT"}, 0},
		{"requests_total", Labels{"nobody": "has"}, 0},
		{"untold", nil, 0},
	} {
		if got := m.Value(c.name, c.labels); got != c.want {
			t.Errorf("%s%v is %v, not %v", c.name, c.labels, got, c.want)
		}
	}
}

func TestAHistogramCountsWhatCameInBetween(t *testing.T) {
	labels := Labels{"method": "Create"}
	h := parse(t, after).Histogram("calls_seconds", labels).Since(parse(t, before).Histogram("calls_seconds", labels))
	// Of ten, six took at most 0.1 s, nine at most 1 s, one took longer.
	for what, c := range map[string]struct{ got, want float64 }{
		"count":                          {h.Count, 10},
		"mean":                           {h.Mean(), 0.61},
		"p50, five sixths of the bucket": {h.Quantile(0.50), 0.1 * 5 / 6},
		"p60, its end":                   {h.Quantile(0.60), 0.1},
		"p75, in the next":               {h.Quantile(0.75), 0.1 + 0.9*1.5/3},
		"p99, beyond the last bound":     {h.Quantile(0.99), 1},
	} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Errorf("%s is %v, not %v", what, c.got, c.want)
		}
	}
}

func TestAHistogramOfNothingIsZero(t *testing.T) {
	m := parse(t, after)
	for what, h := range map[string]Histogram{
		"untold":         m.Histogram("untold", nil),
		"no such label":  m.Histogram("calls_seconds", Labels{"method": "Expand"}),
		"nothing since":  m.Histogram("calls_seconds", nil).Since(m.Histogram("calls_seconds", nil)),
		"without bounds": {},
	} {
		if h.Count != 0 || h.Mean() != 0 || h.Quantile(0.5) != 0 {
			t.Errorf("%s: %v, mean %v, median %v", what, h, h.Mean(), h.Quantile(0.5))
		}
	}
}

func TestWhatIsNotOfTheFormatIsRefused(t *testing.T) {
	if _, err := Parse(strings.NewReader("<html>not found</html>\n")); err == nil {
		t.Error("a page of HTML was read as metrics")
	}
}
