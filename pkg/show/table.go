package show

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Table is rows beneath a header.
type Table struct {
	Columns []Column
	Rows    []Row
	// Notes are the lines beneath the table.
	Notes []Note
	// Empty is what is said in place of a table without rows.
	Empty string
}

// Column is one column of a table.
type Column struct {
	Name string
	// Right has numbers end beneath one another.
	Right bool
}

// Row has a cell for each column.
type Row []Cell

// Cell is what is in one place of a table.
type Cell struct {
	Text  string
	Color Color
	// Bar is drawn in the place of the text, if it is not nil.
	Bar *float64
}

// Note is what more there is to be said of a row: of what, and what.
type Note struct {
	Of, Text string
	Color    Color
}

// gap is between two columns.
const gap = "   "

// Write writes the table.
func (t Table) Write(out io.Writer, s Style) error {
	var b strings.Builder
	if len(t.Rows) == 0 {
		b.WriteString(t.Empty + "\n")
	} else {
		t.rows(&b, s)
	}
	for i, n := range t.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		b.WriteString(s.Paint(n.Color, Line(n.Of)) + ": " + Line(n.Text) + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t Table) rows(b *strings.Builder, s Style) {
	header := make(Row, len(t.Columns))
	for i, c := range t.Columns {
		header[i] = Cell{Text: c.Name}
	}
	all := append([]Row{header}, t.Rows...)
	widths := make([]int, len(t.Columns))
	for _, row := range all {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text(s)))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, c := range row {
			text := c.text(s)
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i > 0 {
				line.WriteString(gap)
			}
			switch {
			case t.Columns[i].Right:
				line.WriteString(padding + s.Paint(c.Color, text))
			default:
				line.WriteString(s.Paint(c.Color, text) + padding)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func (c Cell) text(s Style) string {
	if c.Bar != nil {
		return s.Bar(*c.Bar)
	}
	return c.Text
}

// columns makes columns of their names; those that begin with ">" are numbers.
func columns(names ...string) []Column {
	all := make([]Column, len(names))
	for i, n := range names {
		all[i].Name, all[i].Right = strings.CutPrefix(n, ">")
	}
	return all
}

func text(s string) Cell { return Cell{Text: s} }

// shareOf draws a part of a whole.
func shareOf(part, whole int64) Cell {
	if whole <= 0 {
		return text(none)
	}
	share := float64(part) / float64(whole)
	return Cell{Bar: &share, Color: fullness(share)}
}
