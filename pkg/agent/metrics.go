package agent

import (
	"cmp"
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// metrics are what the agent counts, and what it tells when it is scraped.
type metrics struct {
	agent      *Agent
	purged     *prometheus.CounterVec
	reconciled prometheus.Histogram
	retried    prometheus.Counter
}

func newMetrics(a *Agent) *metrics {
	return &metrics{
		agent: a,
		purged: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hostpath_csi_trash_removed_inodes_total",
			Help: "Inodes of deleted volumes removed from the disk.",
		}, []string{"pool"}),
		reconciled: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hostpath_csi_reconcile_duration_seconds",
			Help:    "Time to bring one changed volume in line with its record.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, // as for calls
		}),
		retried: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hostpath_csi_reconcile_retries_total",
			Help: "Reconciliations that neither succeeded nor could be refused, and are tried again.",
		}),
	}
}

func perPool(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"pool"}, nil)
}

var (
	descUsable    = perPool("hostpath_csi_pool_usable", "1 if the pool can be used, else 0.")
	descSize      = perPool("hostpath_csi_pool_size_bytes", "Size of the pool's filesystem.")
	descEnforces  = perPool("hostpath_csi_pool_enforces_limits", "1 if the pool's filesystem holds volumes to their size, else 0.")
	descFree      = perPool("hostpath_csi_pool_free_bytes", "Free bytes of the pool's filesystem.")
	descAllocated = perPool("hostpath_csi_pool_allocated_bytes", "Sum of the capacities of the pool's volumes, and of what its snapshots may take.")
	descAvailable = perPool("hostpath_csi_pool_available_bytes", "What new volumes of the pool may be given.")
	descReserved  = perPool("hostpath_csi_pool_reserved_bytes", "What is never handed out of the pool.")
	descCordoned  = perPool("hostpath_csi_pool_cordoned", "1 if the pool takes no new volumes, else 0.")
	descVolumes   = perPool("hostpath_csi_pool_volumes", "Volumes of the pool that are ready.")
	descSnapshots = perPool("hostpath_csi_pool_snapshots", "Snapshots of the pool that are ready.")
	descOrphans   = perPool("hostpath_csi_pool_orphans", "Directories of the pool that no record speaks of.")
	descBacklog   = perPool("hostpath_csi_trash_entries", "Deleted volumes whose contents are still being removed.")
	descPhase     = prometheus.NewDesc("hostpath_csi_volumes", "Volumes of the pool, by where they stand in their life.", []string{"pool", "phase"}, nil)
	descBytes     = prometheus.NewDesc("hostpath_csi_volume_bytes", "Sum of the sizes of the pool's volumes, by where they stand in their life.", []string{"pool", "phase"}, nil)
	descLag       = prometheus.NewDesc("hostpath_csi_reconcile_lag_seconds", "How long the volume or snapshot is waiting whose last change waits longest to be reconciled; 0: none is.", nil, nil)
	descReconcile = prometheus.NewDesc("hostpath_csi_reconciling_volumes", "Volumes being reconciled, or waiting for it.", nil, nil)
	descCopies    = prometheus.NewDesc("hostpath_csi_copies", "Snapshots, restores and clones being copied, or waiting for their turn.", nil, nil)
)

// Collectors returns what the agent offers to Prometheus.
func (a *Agent) Collectors() []prometheus.Collector {
	return []prometheus.Collector{a.metrics.purged, a.metrics.reconciled, a.metrics.retried, a.metrics}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUsable, descCordoned, descEnforces, descSize, descFree, descAllocated, descReserved, descAvailable,
		descVolumes, descSnapshots, descOrphans, descBacklog, descReconcile, descCopies,
		descPhase, descBytes, descLag} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descReconcile, float64(m.agent.queue.length()))
	gauge(descCopies, float64(m.agent.copies.length()))
	gauge(descLag, max(m.agent.queue.lag(), m.agent.snapshots.lag()).Seconds())
	m.collectPhases(gauge)
	for _, st := range m.agent.poolStatuses(context.Background()) {
		gauge(descUsable, zeroOrOne(st.Usable()), st.Name)
		gauge(descCordoned, zeroOrOne(st.Cordoned != ""), st.Name)
		gauge(descReserved, float64(st.ReservedBytes), st.Name)
		gauge(descEnforces, zeroOrOne(st.EnforcesLimits), st.Name)
		gauge(descSize, float64(st.Usage.TotalBytes), st.Name)
		gauge(descFree, float64(st.Usage.AvailableBytes), st.Name)
		gauge(descAllocated, float64(st.AllocatedBytes), st.Name)
		gauge(descAvailable, float64(st.AvailableBytes), st.Name)
		gauge(descOrphans, float64(st.Orphans), st.Name)
		p := m.agent.pools.get(st.Name)
		if p == nil { // it was let go meanwhile
			continue
		}
		p.mu.Lock()
		volumes, snapshots, backlog := p.volumes, p.snapshots, p.backlog
		p.mu.Unlock()
		gauge(descVolumes, float64(volumes), st.Name)
		gauge(descSnapshots, float64(snapshots), st.Name)
		gauge(descBacklog, float64(backlog), st.Name)
	}
}

// phases are those of a volume.
var phases = []state.Phase{state.Pending, state.Ready, state.Deleting, state.Failed}

// collectPhases counts the records of this node's volumes.
func (m *metrics) collectPhases(gauge func(*prometheus.Desc, float64, ...string)) {
	type key struct {
		pool  string
		phase state.Phase
	}
	counts, bytes := map[key]int{}, map[key]int64{}
	for _, p := range m.agent.pools.all() {
		for _, phase := range phases {
			counts[key{p.o.Name, phase}] = 0
		}
	}
	err := each(context.Background(), m.agent.o.Volumes, func(v state.Volume) error {
		k := key{v.Spec.Pool, cmp.Or(v.Status.Phase, state.Pending)}
		if _, known := counts[k]; known && v.Spec.Node == m.agent.o.NodeID {
			counts[k]++
			bytes[k] += cmp.Or(v.Status.CapacityBytes, v.Spec.CapacityBytes)
		}
		return nil
	})
	if err != nil {
		klog.ErrorS(err, "Volumes could not be counted for the metrics")
		return
	}
	for k, n := range counts {
		gauge(descPhase, float64(n), k.pool, string(k.phase))
		gauge(descBytes, float64(bytes[k]), k.pool, string(k.phase))
	}
}

func zeroOrOne(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
