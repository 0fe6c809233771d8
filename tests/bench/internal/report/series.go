package report

import (
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
)

// Series collects one row, round by round.
type Series struct {
	Operation          string
	Existing, InFlight int

	rates, floor, empty []float64
	latencies           []time.Duration
	cpu                 float64
}

// Add adds a round: what the driver did, the rate of the floor beside it (0: none)
// and the driver's processor time.
func (s *Series) Add(driver load.Sample, floor, cpuSeconds float64) {
	s.rates = append(s.rates, driver.PerSecond())
	s.floor = append(s.floor, floor)
	s.latencies = append(s.latencies, driver.Latencies...)
	s.cpu += cpuSeconds
}

// Compare sets the empty calls of the same rounds beside this series.
func (s *Series) Compare(empty *Series) { s.empty = empty.rates }

// Row sums the series up.
func (s *Series) Row() Row {
	micros := func(q float64) float64 {
		return float64(load.Percentile(s.latencies, q)) / float64(time.Microsecond)
	}
	return Row{
		Operation: s.Operation, Existing: s.Existing, InFlight: s.InFlight,
		Count:     len(s.latencies),
		PerSecond: load.Median(s.rates),
		P50Micros: micros(0.50), P95Micros: micros(0.95), P99Micros: micros(0.99),
		FloorPerSecond: load.Median(s.floor),
		FloorRatio:     load.MedianRatio(s.rates, s.floor),
		EmptyCallRatio: load.MedianRatio(s.rates, s.empty),
		Reference:      reference[s.Operation][s.InFlight],
		CPUSeconds:     s.cpu,
	}
}
