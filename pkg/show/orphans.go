package show

// Orphans is a list of what lies in pools and no record speaks of.
type Orphans struct {
	Orphans []Orphan `json:"orphans"`
}

// Orphan is one of them.
type Orphan struct {
	Pool string `json:"pool"`
	Path string `json:"path"`
	// Why tells what is wrong with its record.
	Why string `json:"why"`
}

// Table shows the orphans.
func (l Orphans) Table() Table {
	t := Table{Columns: columns("POOL", "PATH", "WHY"), Empty: "no orphans"}
	for _, o := range l.Orphans {
		t.Rows = append(t.Rows, Row{text(Name(o.Pool)), text(Name(o.Path)), text(Line(o.Why))})
	}
	return t
}
