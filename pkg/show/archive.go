package show

import (
	"slices"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Archive is a list of volumes that were deleted and are kept.
type Archive struct {
	Archived []Archived `json:"archived"`
}

// Archived is one of them.
type Archived struct {
	Name string `json:"name"`
	// Node is told where there are several.
	Node string `json:"node,omitempty"`
	Pool string `json:"pool"`
	Path string `json:"path"`
	// VolumeID, and the rest, are what its record says; "" where it cannot be read.
	VolumeID      string           `json:"volumeID,omitempty"`
	Claim         *state.Claim     `json:"claim,omitempty"`
	AccessType    state.AccessType `json:"accessType,omitempty"`
	CapacityBytes int64            `json:"capacityBytes,omitempty"`
	DeletedAt     *time.Time       `json:"deletedAt,omitempty"`
	// Spec is what was wanted of the volume; nil where its record cannot be read.
	Spec *state.VolumeSpec `json:"spec,omitempty"`
}

// Table shows the archive as of now.
func (l Archive) Table(now time.Time) Table {
	nodes := slices.ContainsFunc(l.Archived, func(a Archived) bool { return a.Node != "" })
	names := []string{"NAME", "CLAIM", "VOLUME", "POOL", ">SIZE", ">DELETED", "PATH"}
	if nodes {
		names = slices.Insert(names, 3, "NODE")
	}
	t := Table{Columns: columns(names...), Empty: "nothing is archived"}
	for _, a := range l.Archived {
		claim, size, deleted := none, none, none
		if a.Claim != nil && a.Claim.Name != "" {
			claim = Name(a.Claim.Namespace + "/" + a.Claim.Name)
		}
		if a.DeletedAt != nil {
			size, deleted = Size(a.CapacityBytes), age(*a.DeletedAt, now)+" ago"
		}
		row := Row{text(Name(a.Name)), text(claim), text(Name(a.VolumeID)), text(Name(a.Pool)), text(size), text(deleted), text(Name(a.Path))}
		if nodes {
			row = slices.Insert(row, 3, text(Name(a.Node)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
