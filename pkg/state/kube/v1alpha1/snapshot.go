package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// HostPathSnapshot is one snapshot of a volume, in the pool of that volume. Its name
// is the CSI snapshot ID.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=hps,categories=hostpath-csi
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.node`
// +kubebuilder:selectablefield:JSONPath=`.spec.pool`
// +kubebuilder:selectablefield:JSONPath=`.spec.volume`
// +kubebuilder:printcolumn:name="Volume",type=string,JSONPath=`.spec.volume`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.node`
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.pool`
// +kubebuilder:printcolumn:name="Bytes",type=integer,JSONPath=`.status.sizeBytes`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
type HostPathSnapshot struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec HostPathSnapshotSpec `json:"spec"`
	// +optional
	Status HostPathSnapshotStatus `json:"status,omitempty"`
}

// HostPathSnapshotSpec is what the controller wants of a snapshot.
//
// +kubebuilder:validation:XValidation:rule="self.name == oldSelf.name",message="a snapshot's name cannot change"
// +kubebuilder:validation:XValidation:rule="self.volume == oldSelf.volume",message="a snapshot's volume cannot change"
// +kubebuilder:validation:XValidation:rule="self.volumeUID == oldSelf.volumeUID",message="which life of a volume a snapshot is of cannot change"
// +kubebuilder:validation:XValidation:rule="self.accessType == oldSelf.accessType",message="a snapshot's access type cannot change"
// +kubebuilder:validation:XValidation:rule="self.node == oldSelf.node",message="a snapshot cannot move to another node"
// +kubebuilder:validation:XValidation:rule="self.pool == oldSelf.pool",message="a snapshot cannot move to another pool"
type HostPathSnapshotSpec struct {
	state.SnapshotSpec `json:",inline"`

	Deletion `json:",inline"`
}

// HostPathSnapshotStatus is what the node's agent saw.
type HostPathSnapshotStatus struct {
	state.SnapshotStatus `json:",inline"`

	// Conditions say what of this is so, for `kubectl wait`.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HostPathSnapshotList is a list of snapshots.
//
// +kubebuilder:object:root=true
type HostPathSnapshotList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HostPathSnapshot `json:"items"`
}

// Desired returns what shall be.
func (s *HostPathSnapshot) Desired() *state.SnapshotSpec { return &s.Spec.SnapshotSpec }

// Observed returns what is.
func (s *HostPathSnapshot) Observed() *state.SnapshotStatus { return &s.Status.SnapshotStatus }

// Deletion returns whether the end of the snapshot was asked for.
func (s *HostPathSnapshot) Deletion() *Deletion { return &s.Spec.Deletion }

// RecordID returns the snapshot ID.
func (s *HostPathSnapshot) RecordID() string { return s.Name }

// SetRecordID names a new object.
func (s *HostPathSnapshot) SetRecordID(id string) { s.Name = id }

// NodeID returns where the snapshot lives.
func (s *HostPathSnapshot) NodeID() string { return s.Spec.Node }
