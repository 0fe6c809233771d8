package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/hostpath-csi/hostpath-csi/tests/e2e/bench/internal/audit"
)

// WriteTable shows the result to people.
func (r *Result) WriteTable(w io.Writer) error {
	p := &printer{w: w}
	c := r.Cluster
	p.printf("%s, Kubernetes %s, %d nodes\n%s, %s\n", c.Driver, c.Kubernetes, c.Nodes, c.Date, c.Machine)
	for _, client := range slices.Sorted(maps.Keys(c.Limits)) {
		p.printf("%s: %s\n", client, c.Limits[client])
	}
	p.printf("\nAll at once, as the claims' owner sees it, and the driver's part of it\n\n")
	p.claims(r.Cases)
	for _, phase := range phases {
		p.printf("\nWhere the time of a claim goes: %s, seconds in the mean\n\n", phase.name)
		p.stages(r.Cases, phase)
	}
	p.printf("\nProcessor time per volume, in ms; all processes of a kind together\n\n")
	p.cpu(r.Cases)
	p.printf("\nMemory with all volumes there, MiB; of several processes the largest\n\n")
	p.memory(r.Cases)
	for _, phase := range r.traced() {
		p.printf("\nAPI calls per volume: %s\n\n", phase.name)
		p.calls(r.Cases, phase)
	}
	if len(r.Goals) > 0 {
		p.printf("\nGoals\n\n")
		p.goals(r.Goals)
	}
	return p.err
}

// A phase by its name, and where it is in a case.
type phase struct {
	name, call string
	of         func(Case) Phase
}

var phases = []phase{
	{"create", "CreateVolume", func(c Case) Phase { return c.Create }},
	{"delete", "DeleteVolume", func(c Case) Phase { return c.Delete }},
}

// traced are the phases of which an audit log has told something.
func (r *Result) traced() (all []phase) {
	for _, phase := range phases {
		if slices.ContainsFunc(r.Cases, func(c Case) bool { return phase.of(c).Traced }) {
			all = append(all, phase)
		}
	}
	return all
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

// row prints a line of a table, whose cells a tab ends.
func (p *printer) row(cells ...any) {
	p.printf(strings.Repeat("%v\t", len(cells))+"\n", cells...)
}

// columns lets fill print aligned cells: the first to the left, the others to the right.
func (p *printer) columns(fill func(*printer)) {
	var text strings.Builder
	inner := &printer{w: &text, err: p.err}
	fill(inner)
	if p.err = inner.err; p.err != nil {
		return
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	widest := 0
	for _, line := range lines {
		first, _, _ := strings.Cut(line, "\t")
		widest = max(widest, len(first))
	}
	var aligned strings.Builder
	t := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, line := range lines {
		first, rest, _ := strings.Cut(line, "\t")
		fmt.Fprintf(t, "%-*s\t%s\n", widest, first, rest) // into memory
	}
	if p.err = t.Flush(); p.err != nil {
		return
	}
	for line := range strings.Lines(aligned.String()) {
		p.printf("%s\n", strings.TrimRight(line, " \n"))
	}
}

// number shows about three digits, and nothing as a dash.
func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v < 0.0995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func (p *printer) claims(cases []Case) {
	p.columns(func(t *printer) {
		t.row("phase", "binding", "claims", "all s", "a second", "p50 s", "p95 s", "p99 s", "pods ready s", "driver p50 ms", "p95 ms", "p99 ms")
		for _, phase := range phases {
			for _, c := range cases {
				f := phase.of(c)
				ready := "-"
				if phase.name == "create" {
					ready = number(c.PodsReady)
				}
				t.row(phase.name, c.Binding, c.Claims, number(f.Seconds), number(float64(c.Claims)/f.Seconds),
					number(f.Claim.P50), number(f.Claim.P95), number(f.Claim.P99), ready,
					number(f.Driver.P50*1e3), number(f.Driver.P95*1e3), number(f.Driver.P99*1e3))
			}
		}
	})
}

// compare prints a table with a column for each case; a row gets its cell of each. A row without
// cells is a heading.
func (p *printer) compare(cases []Case, head string, fill func(row func(name string, cell func(Case) float64))) {
	p.columns(func(t *printer) {
		line := []any{head}
		for _, c := range cases {
			line = append(line, fmt.Sprintf("%d %s", c.Claims, c.Binding))
		}
		t.row(line...)
		fill(func(name string, cell func(Case) float64) {
			line := []any{name}
			for _, c := range cases {
				if cell == nil {
					line = append(line, "")
					continue
				}
				line = append(line, number(cell(c)))
			}
			t.row(line...)
		})
	})
}

func (p *printer) stages(cases []Case, phase phase) {
	names := keys(cases, func(c Case) (names []string) {
		for _, s := range phase.of(c).Stages {
			names = append(names, s.Name)
		}
		return names
	})
	p.compare(cases, "in the hands of", func(row func(string, func(Case) float64)) {
		for _, name := range names {
			row(name, func(c Case) (mean float64) {
				for _, s := range phase.of(c).Stages {
					if s.Name == name {
						mean = s.Mean
					}
				}
				return mean
			})
		}
		if len(names) > 0 {
			row("together", func(c Case) (sum float64) {
				for _, s := range phase.of(c).Stages {
					sum += s.Mean
				}
				return sum
			})
		}
		row("as their own metrics have it:", nil)
		row("  "+phase.call+" in the driver", func(c Case) float64 { return phase.of(c).Driver.Mean })
		row("  the same call, in csi-provisioner", func(c Case) float64 { return phase.of(c).Call.Mean })
		row("  one of its workers, with its requests", func(c Case) float64 { return phase.of(c).Work.Mean })
		row("  waiting for a worker", func(c Case) float64 { return phase.of(c).Queue.Mean })
		row("  controller manager: waits for its own limit of requests", func(c Case) float64 { return phase.of(c).ManagerWaits })
	})
}

func (p *printer) cpu(cases []Case) {
	for _, phase := range phases {
		p.compare(cases, phase.name, func(row func(string, func(Case) float64)) {
			names := keys(cases, func(c Case) []string { return slices.Sorted(maps.Keys(phase.of(c).CPU)) })
			for _, name := range names {
				row(name, func(c Case) float64 { return phase.of(c).CPU[name] / float64(c.Claims) * 1e3 })
			}
			row("the machine's cores, how busy, in %", func(c Case) float64 { return phase.of(c).Busy * 100 })
		})
	}
}

func (p *printer) memory(cases []Case) {
	p.compare(cases, "process", func(row func(string, func(Case) float64)) {
		for _, name := range keys(cases, func(c Case) []string { return slices.Sorted(maps.Keys(c.Memory)) }) {
			row(name, func(c Case) float64 { return c.Memory[name] / bytesPerMiB })
		}
	})
}

// seldom is how often per volume a call is made that is not shown by itself.
const seldom = 0.05

func (p *printer) calls(cases []Case, phase phase) {
	p.compare(cases, "client", func(row func(string, func(Case) float64)) {
		name := func(c audit.Calls) string { return fmt.Sprintf("%s: %s %s", c.Client, c.Verb, c.What) }
		often := keys(cases, func(c Case) (names []string) {
			for _, call := range phase.of(c).Calls {
				if call.PerVolume >= seldom {
					names = append(names, name(call))
				}
			}
			return names
		})
		sum := func(of func(audit.Calls) bool) func(Case) float64 {
			return func(c Case) float64 { return phase.of(c).sum(of) }
		}
		for _, call := range slices.Sorted(slices.Values(often)) {
			row(call, sum(func(c audit.Calls) bool { return name(c) == call }))
		}
		row("all others", sum(func(c audit.Calls) bool { return !slices.Contains(often, name(c)) }))
		row("writes of the driver about volumes", func(c Case) float64 { return phase.of(c).writes() })
		row("writes of the driver about nodes' room", func(c Case) float64 { return phase.of(c).nodeWrites() })
	})
}

func (p *printer) goals(goals []Goal) {
	p.columns(func(t *printer) {
		t.row("goal", "at most", "measured", "", "reached")
		for _, g := range goals {
			reached := "yes"
			if !g.Reached {
				reached = "NO"
			}
			t.row(g.What, number(g.Most), number(g.Got), g.Unit, reached)
		}
	})
}

// keys are those of all cases, each once, in the order of the case that has most of them.
func keys(cases []Case, of func(Case) []string) (all []string) {
	byNumber := slices.Clone(cases)
	slices.SortStableFunc(byNumber, func(a, b Case) int { return cmp.Compare(len(of(b)), len(of(a))) })
	for _, c := range byNumber {
		for _, key := range of(c) {
			if !slices.Contains(all, key) {
				all = append(all, key)
			}
		}
	}
	return all
}
