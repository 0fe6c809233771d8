package show

import "slices"

// Orphans is a list of what lies in pools and no record speaks of.
type Orphans struct {
	Orphans []Orphan `json:"orphans"`
}

// Orphan is one of them.
type Orphan struct {
	// Node is told where there are several.
	Node string `json:"node,omitempty"`
	Pool string `json:"pool"`
	Path string `json:"path"`
	// Why tells what is wrong with its record.
	Why string `json:"why"`
	// Forgotten tells that it carries a record of its own, which the driver's store has not.
	Forgotten bool `json:"forgotten,omitempty"`
}

// Table shows the orphans.
func (l Orphans) Table() Table {
	nodes := slices.ContainsFunc(l.Orphans, func(o Orphan) bool { return o.Node != "" })
	names := []string{"POOL", "PATH", "WHY"}
	if nodes {
		names = slices.Insert(names, 0, "NODE")
	}
	t := Table{Columns: columns(names...), Empty: "no orphans"}
	for _, o := range l.Orphans {
		row := Row{text(Name(o.Pool)), text(Name(o.Path)), text(Line(o.Why))}
		if nodes {
			row = slices.Insert(row, 0, text(Name(o.Node)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
