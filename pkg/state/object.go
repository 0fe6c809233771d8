// Package state holds the records that controller and node share, the contract
// of the stores that keep them, and the reasons a record may give for a failure.
//
// A record has two halves with one writer each. The controller declares what
// shall be (Spec); the agent of the node named there makes it so and writes what
// it saw (Status). Nobody calls anybody: the record is the message.
//
//	controller               store                     agent
//	Create(spec)      ──►    Pending         ──►       builds it on the disk
//	Await(ready)      ◄──    Ready           ◄──       UpdateStatus
//	Delete(id)        ──►    DeletedAt set   ──►       takes it out of the way
//	Await(gone)       ◄──    Deleting        ◄──       UpdateStatus
//	                         (no record)     ◄──       Finalize
//
// Units are bytes and inodes throughout; times are UTC.
package state

import "time"

// Meta is what every record has, whatever it describes. Only a store writes it.
type Meta struct {
	// ID names the record: at most MaxIDBytes bytes, safe as a file name. See VolumeID.
	ID string `json:"id"`
	// UID tells one life of an ID from the next: a volume that is created again
	// under the name of a deleted one has another UID. 32 hexadecimal digits.
	UID string `json:"uid"`
	// Generation grows by one with every change of Spec or DeletedAt.
	Generation int64 `json:"generation"`
	// CreatedAt is when the record was created.
	CreatedAt time.Time `json:"createdAt"`
	// DeletedAt is when its deletion was asked for; nil while it shall live.
	DeletedAt *time.Time `json:"deletedAt,omitempty"`
	// DeletedForGood tells that the deletion cannot be taken back: somebody has removed the
	// object that keeps the record, in a store that has such. See Removable.
	DeletedForGood bool `json:"-"`
}

// Object is one record: what shall be (Spec, written by the controller) and what
// is (Status, written by the agent).
type Object[S, U any] struct {
	Meta
	Spec   S `json:"spec"`
	Status U `json:"status"`
}

// Volume is the record of one volume.
type Volume = Object[VolumeSpec, VolumeStatus]

// Snapshot is the record of one snapshot.
type Snapshot = Object[SnapshotSpec, SnapshotStatus]

// Node is the record of one node and its pools. Its ID is the CSI node ID.
type Node = Object[NodeSpec, NodeStatus]

// Phase is where a record stands in its life.
//
//	(created) ─► Pending ─► Ready ─► Deleting ─► (finalized: no record)
//	                └─► Failed ─► Deleting ─┘
type Phase string

// The phases. A record that was just created has phase Pending, the zero value's
// meaning included.
const (
	Pending Phase = "Pending"
	// Copying is a snapshot's, between Pending and Ready: its copy takes so long that
	// the caller was answered before its end.
	Copying  Phase = "Copying"
	Ready    Phase = "Ready"
	Deleting Phase = "Deleting"
	Failed   Phase = "Failed"
)

// Usage is room taken and room there is, in bytes and inodes. A total of zero
// means that the filesystem does not limit (or count) that unit.
//
// +kubebuilder:object:generate=true
type Usage struct {
	TotalBytes      int64 `json:"totalBytes"`
	UsedBytes       int64 `json:"usedBytes"`
	AvailableBytes  int64 `json:"availableBytes"`
	TotalInodes     int64 `json:"totalInodes,omitempty"`
	UsedInodes      int64 `json:"usedInodes,omitempty"`
	AvailableInodes int64 `json:"availableInodes,omitempty"`
}

// HealthType says how bad an adverse condition is (CSI 1.13, VolumeHealthErrorType).
type HealthType string

// The adverse conditions of CSI 1.13.
const (
	Degraded     HealthType = "Degraded"
	Inaccessible HealthType = "Inaccessible"
	DataLoss     HealthType = "DataLoss"
)

// Health is one adverse condition. A healthy thing has none.
//
// +kubebuilder:object:generate=true
type Health struct {
	Type HealthType `json:"type"`
	// Reason is a brief CamelCase word for machines, unique among the
	// conditions of one record.
	Reason string `json:"reason"`
	// Message is for people: what is wrong, and what mends it.
	Message string `json:"message,omitempty"`
}
