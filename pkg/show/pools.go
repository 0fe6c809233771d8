package show

import (
	"strconv"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Pools is a list of pools.
type Pools struct {
	Pools []Pool `json:"pools"`
}

// Pool is one pool, as a command line tells of it.
type Pool struct {
	Node string `json:"node,omitempty"`
	state.PoolStatus
	Volumes   int `json:"volumes"`
	Snapshots int `json:"snapshots"`
	// Trash counts what waits for its removal; nil where that is not known.
	Trash *int `json:"trash,omitempty"`
}

// Table shows the pools.
func (l Pools) Table(wide bool) Table {
	t := Table{Columns: columns("POOL", "FILESYSTEM", ">SIZE", "USED", ">FREE", "PROMISED", ">VOLUMES", ">SNAPSHOTS", ">ORPHANS", "HEALTH"), Empty: "no pools"}
	nodes := false
	for _, p := range l.Pools {
		nodes = nodes || p.Node != ""
	}
	if nodes {
		t.Columns = append(columns("NODE"), t.Columns...)
	}
	if wide {
		t.Columns = append(t.Columns, columns("LIMITS", ">TRASH", "UUID", "PATH")...)
	}
	for _, p := range l.Pools {
		row := Row{text(Name(p.Name)), text(Name(p.Filesystem)), p.ofUsage(p.Usage.TotalBytes), shareOf(p.Usage.UsedBytes, p.Usage.TotalBytes),
			p.ofUsage(p.Usage.AvailableBytes), shareOf(p.AllocatedBytes, p.Usage.TotalBytes),
			text(strconv.Itoa(p.Volumes)), text(strconv.Itoa(p.Snapshots)), orphansCell(p.Orphans), p.health()}
		if nodes {
			row = append(Row{text(Name(p.Node))}, row...)
		}
		if wide {
			trash := none
			if p.Trash != nil {
				trash = strconv.Itoa(*p.Trash)
			}
			row = append(row, limitsCell(p.EnforcesLimits), text(trash), text(Name(p.UUID)), text(Name(p.Path)))
		}
		t.Rows = append(t.Rows, row)
		t.Notes = append(t.Notes, p.notes()...)
	}
	return t
}

// ofUsage shows a size that is known while the pool can be read.
func (p Pool) ofUsage(bytes int64) Cell {
	if p.Usage.TotalBytes == 0 {
		return text(none)
	}
	return text(Size(bytes))
}

// called names a pool in the notes.
func (p Pool) called() string {
	if p.Node != "" {
		return Name(p.Node) + " " + Name(p.Name)
	}
	return Name(p.Name)
}

func (p Pool) notes() []Note {
	notes := healthNotes(p.called(), p.Health)
	if p.Cordoned != "" {
		notes = append(notes, Note{Of: p.called(), Text: "takes no new volumes: " + p.Cordoned, Color: Doubtful})
	}
	return notes
}

func (p Pool) health() Cell {
	if len(p.Health) == 0 && p.Cordoned != "" {
		return Cell{Text: "Cordoned", Color: Doubtful}
	}
	return healthCell(p.Health)
}

func orphansCell(n int) Cell {
	c := text(strconv.Itoa(n))
	if n > 0 {
		c.Color = Doubtful
	}
	return c
}

func limitsCell(enforced bool) Cell {
	if enforced {
		return Cell{Text: "enforced", Color: Good}
	}
	return Cell{Text: "not enforced", Color: Doubtful}
}

// Nodes is a list of nodes.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// Node is one node and its pools, as a command line tells of it.
type Node struct {
	Node      string             `json:"node"`
	Pools     []state.PoolStatus `json:"pools,omitempty"`
	Volumes   int                `json:"volumes"`
	Snapshots int                `json:"snapshots"`
	CreatedAt time.Time          `json:"createdAt"`
}

// Table shows the nodes as of now.
func (l Nodes) Table(wide bool, now time.Time) Table {
	t := Table{Columns: columns("NODE", "POOLS", ">PROMISED", ">LARGEST NEW VOLUME", ">VOLUMES", ">SNAPSHOTS", ">AGE", "HEALTH"), Empty: "no nodes"}
	if wide {
		t.Columns = append(t.Columns, columns(">RESERVED", ">ORPHANS")...)
	}
	for _, n := range l.Nodes {
		// Sizes are not added up: several pools may lie on one filesystem.
		var largest, promised, reserved int64
		var health []state.Health
		pools, orphans := "", 0
		for i, p := range n.Pools {
			if i > 0 {
				pools += ","
			}
			pools += Name(p.Name)
			if p.Usable() && p.Cordoned == "" {
				largest = max(largest, p.AvailableBytes)
			}
			promised, reserved, orphans = promised+p.AllocatedBytes, reserved+p.ReservedBytes, orphans+p.Orphans
			health = append(health, p.Health...)
			t.Notes = append(t.Notes, Pool{Node: n.Node, PoolStatus: p}.notes()...)
		}
		row := Row{text(Name(n.Node)), text(orNone(pools)), text(Size(promised)), text(Size(largest)),
			text(strconv.Itoa(n.Volumes)), text(strconv.Itoa(n.Snapshots)), text(age(n.CreatedAt, now)), healthCell(health)}
		if wide {
			row = append(row, text(Size(reserved)), orphansCell(orphans))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
