package kube

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// newCommitDuration makes the histogram of writes. It has the name of the embedded store's:
// it is the same that every creation and deletion waits for.
func newCommitDuration() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "hostpath_csi_store_commit_duration_seconds",
		Help:    "Time that a write of a record to the API server takes.",
		Buckets: prometheus.ExponentialBuckets(0.00005, 2.5, 14), // 50 us to 7 s
	})
}

// Collectors returns what the store offers to Prometheus.
func (s *Store) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.commitDuration}
}

// timed counts how long a write took that began then.
func (s *Store) timed(began time.Time) { s.commitDuration.Observe(time.Since(began).Seconds()) }
