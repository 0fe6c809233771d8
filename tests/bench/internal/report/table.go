package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
)

// WriteJSON writes v to the file at path, or to nothing if that is "".
func WriteJSON(path string, v any) error {
	if path == "" {
		return nil
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(out, '\n'), 0o644)
}

// Columns returns a writer that aligns tab-separated cells to the right. Every
// cell, the last one of a line included, ends with a tab.
func Columns(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// Number shows a figure with about three digits; 0, which stands for "there is
// none", is a dash.
func Number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// WriteTable shows the result to people.
func (r *Result) WriteTable(w io.Writer) error {
	p := &printer{w: w}
	p.printf("%s\n%s\n", r.Driver, r.Machine)
	for _, existing := range r.existing() {
		p.printf("\nWith %d volumes existing\n\n", existing)
		p.rows(r.Rows, existing)
	}
	p.printf("\nThe existing volumes, memory and starts\n\n")
	p.populations(r.Populations)
	p.memory(r.Memory)
	p.starts(r.Starts)
	p.printf("\nGoals\n\n")
	p.goals(r.Goals)
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// columns lets fill print aligned cells.
func (p *printer) columns(fill func(*printer)) {
	t := Columns(p.w)
	inner := &printer{w: t, err: p.err}
	fill(inner)
	if p.err = inner.err; p.err == nil {
		p.err = t.Flush()
	}
}

func (p *printer) rows(rows []Row, existing int) {
	p.columns(func(t *printer) {
		t.printf("%-12s\tin flight\tops/s\tp50 ms\tp95 ms\tp99 ms\tfloor ops/s\tof floor\tof empty call\tof reference\tCPU s\t\n", "operation")
		for _, row := range rows {
			if row.Existing != existing {
				continue
			}
			t.printf("%-12s\t%d\t%.0f\t%.3f\t%.3f\t%.3f\t%s\t%s\t%s\t%s\t%.2f\t\n", row.Operation, row.InFlight, row.PerSecond,
				row.P50Micros/1e3, row.P95Micros/1e3, row.P99Micros/1e3,
				Number(row.FloorPerSecond), Number(row.FloorRatio), Number(row.EmptyCallRatio), Number(row.TimesReference()), row.CPUSeconds)
		}
	})
}

func (p *printer) populations(populations []Population) {
	for _, c := range populations {
		p.printf("created through the socket: %d to %d volumes, %d in flight: %.1f s, %.0f a second, %.1f s CPU\n",
			c.From, c.To, c.InFlight, c.Seconds, c.PerSecond, c.CPUSeconds)
	}
}

func (p *printer) memory(memory []Memory) {
	for _, m := range memory {
		p.printf("memory, %s, %d volumes: RSS %.1f MiB, of it anonymous %.1f MiB, peak %.1f MiB\n", m.When, m.Existing,
			float64(m.RSS)/bytesPerMiB, float64(m.Anonymous)/bytesPerMiB, float64(m.Peak)/bytesPerMiB)
	}
}

func (p *printer) starts(starts []Start) {
	for _, s := range starts {
		p.printf("start with %d volumes: ready after %.3f s; stopped before in %.3f s\n", s.Existing, s.ReadySeconds, s.StopSeconds)
	}
}

func (p *printer) goals(goals []Goal) {
	p.columns(func(t *printer) {
		t.printf("%-42s\twanted\tmeasured\t\treached\t\n", "goal")
		for _, g := range goals {
			reached := "yes"
			if !g.Achieved {
				reached = "NO"
			}
			t.printf("%-42s\t%s %s\t%s\t%s\t%s\t\n", g.What, g.Bound, Number(g.Want), Number(g.Got), g.Unit, reached)
		}
	})
}
