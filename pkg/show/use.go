package show

// Use is what volumes take, in the order in which they are to be shown.
type Use struct {
	Volumes []Volume `json:"volumes"`
}

// Table shows what each takes of its size, and all of them.
func (l Use) Table() Table {
	t := Table{Columns: columns(">USED", "OF ITS SIZE", ">SIZE", "CLAIM", "POOL", "PATH"), Empty: "no volumes"}
	var used, size int64
	for _, v := range l.Volumes {
		share := text(none)
		if v.UsedBytes != nil {
			share = shareOf(*v.UsedBytes, v.CapacityBytes)
			used += *v.UsedBytes
		}
		size += v.CapacityBytes
		t.Rows = append(t.Rows, Row{v.used(), share, text(Size(v.CapacityBytes)), text(v.claim()), text(Name(v.Pool)), text(Name(v.Path))})
		t.Notes = append(t.Notes, healthNotes(v.called(), v.Health)...)
	}
	if len(l.Volumes) > 1 {
		t.Rows = append(t.Rows, Row{text(Size(used)), shareOf(used, size), text(Size(size)), text("(all)"), text(""), text("")})
	}
	return t
}
