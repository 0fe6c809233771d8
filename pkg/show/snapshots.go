package show

import (
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Snapshots is a list of snapshots.
type Snapshots struct {
	Snapshots []Snapshot `json:"snapshots"`
}

// Snapshot is one snapshot, as a command line tells of it.
type Snapshot struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Volume string `json:"volume"`
	Node   string `json:"node,omitempty"`
	Pool   string `json:"pool"`
	// SizeBytes is the least size of a volume that is restored from it.
	SizeBytes int64 `json:"sizeBytes"`
	// UsedBytes is what it takes of its pool; nil where that is not known.
	UsedBytes  *int64      `json:"usedBytes,omitempty"`
	Atomic     bool        `json:"atomic"`
	ReadyToUse bool        `json:"readyToUse"`
	Path       string      `json:"path,omitempty"`
	CreatedAt  time.Time   `json:"createdAt"`
	Phase      state.Phase `json:"phase,omitempty"`
	// Reason and Message tell why it failed, or what it waits for.
	Reason  state.Reason `json:"reason,omitempty"`
	Message string       `json:"message,omitempty"`
	// CopiedBytes is how far a copy is that is being made.
	CopiedBytes *int64 `json:"copiedBytes,omitempty"`
}

// Table shows the snapshots as of now.
func (l Snapshots) Table(wide bool, now time.Time) Table {
	t := Table{Columns: columns("SNAPSHOT", "VOLUME", "NODE", "POOL", ">SIZE", ">USED", ">AGE", "STATE"), Empty: "no snapshots"}
	if wide {
		t.Columns = append(t.Columns, columns("ATOMIC", "PATH")...)
	}
	for _, s := range l.Snapshots {
		used := text(none)
		if s.UsedBytes != nil {
			used.Text = Size(*s.UsedBytes)
		}
		row := Row{text(Name(s.ID)), text(Name(s.Volume)), text(Name(s.Node)), text(Name(s.Pool)), text(Size(s.SizeBytes)), used,
			text(age(s.CreatedAt, now)), s.state()}
		if wide {
			row = append(row, text(yesNo(s.Atomic)), text(Name(s.Path)))
		}
		t.Rows = append(t.Rows, row)
		if s.Message != "" {
			t.Notes = append(t.Notes, Note{Of: Name(s.ID), Text: s.Message, Color: s.state().Color})
		}
	}
	return t
}

// state is the phase, how far a copy is, and why it failed.
func (s Snapshot) state() Cell {
	switch s.Phase {
	case "", state.Ready:
		return Cell{Text: string(state.Ready), Color: Good}
	case state.Failed:
		return Cell{Text: string(s.Phase) + ": " + Name(string(s.Reason)), Color: Bad}
	}
	c := Cell{Text: Name(string(s.Phase)), Color: Doubtful}
	if s.CopiedBytes != nil {
		c.Text += " " + Size(*s.CopiedBytes)
	}
	return c
}
