package engine

import (
	"fmt"
	"io"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// WriteTable shows the comparison to people.
func (c *Comparison) WriteTable(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s\n\nDurable puts of %d bytes a second, by number in flight\n\n", c.Machine, ValueBytes); err != nil {
		return err
	}
	t := report.Columns(w)
	fmt.Fprintf(t, "%-14s\trecords\t", "store")
	for _, p := range c.Stores[0].Puts {
		fmt.Fprintf(t, "put/s at %d\tp99 ms\t", p.InFlight)
	}
	fmt.Fprint(t, "get us\tscan ms\topen ms\tRSS MiB\tanonymous\ton disk MiB\t\n")
	for _, s := range c.Stores {
		fmt.Fprintf(t, "%-14s\t%d\t", s.Store, s.Records)
		for _, p := range s.Puts {
			fmt.Fprintf(t, "%.0f\t%.2f\t", p.PerSecond, p.P99Millis)
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t\n", report.Number(s.GetMicros), report.Number(s.ScanMillis), s.OpenMillis,
			float64(s.RSS)/(1<<20), float64(s.Anonymous)/(1<<20), float64(s.DiskBytes)/(1<<20))
	}
	return t.Flush()
}
