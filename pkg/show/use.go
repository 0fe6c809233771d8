package show

import (
	"cmp"
	"slices"
)

// Use is what volumes take, in the order in which they are to be shown.
type Use struct {
	Volumes []Volume `json:"volumes"`
}

// Sort puts what takes most first.
func (l Use) Sort() {
	used := func(v Volume) int64 {
		if v.UsedBytes == nil {
			return -1
		}
		return *v.UsedBytes
	}
	slices.SortStableFunc(l.Volumes, func(a, b Volume) int {
		return cmp.Or(cmp.Compare(used(b), used(a)), cmp.Compare(a.ID, b.ID))
	})
}

// Table shows what each takes of its size, and all of them; with nodes, also on which it is.
func (l Use) Table(nodes bool) Table {
	names := []string{">USED", "OF ITS SIZE", ">SIZE", "CLAIM", "POOL", "PATH"}
	if nodes {
		names = slices.Insert(names, 4, "NODE")
	}
	t := Table{Columns: columns(names...), Empty: "no volumes"}
	add := func(row Row, node string) {
		if nodes {
			row = slices.Insert(row, 4, text(node))
		}
		t.Rows = append(t.Rows, row)
	}
	var used, size int64
	for _, v := range l.Volumes {
		share := text(none)
		if v.UsedBytes != nil {
			share = shareOf(*v.UsedBytes, v.CapacityBytes)
			used += *v.UsedBytes
		}
		size += v.CapacityBytes
		add(Row{v.used(), share, text(Size(v.CapacityBytes)), text(v.claim()), text(Name(v.Pool)), text(Name(v.Path))}, Name(v.Node))
		t.Notes = append(t.Notes, healthNotes(v.called(), v.Health)...)
	}
	if len(l.Volumes) > 1 {
		add(Row{text(Size(used)), shareOf(used, size), text(Size(size)), text("(all)"), text(""), text("")}, "")
	}
	return t
}
