package pebble

import "github.com/prometheus/client_golang/prometheus"

// newCommitDuration makes the histogram of durable commits; those that do not wait for
// the disk are not counted, for they would hide how slow it is.
func newCommitDuration() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "hostpath_csi_store_commit_duration_seconds",
		Help:    "Time that a durable commit to the embedded store takes.",
		Buckets: prometheus.ExponentialBuckets(0.00005, 2.5, 14), // 50 us to 7 s
	})
}

// Collectors returns what the store offers to Prometheus.
func (s *Store) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.commitDuration}
}
