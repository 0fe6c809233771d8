package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// HostPathVolume is one volume: a directory or an image on the disk of one node. Its
// name is the CSI volume ID, and the PersistentVolume's name too where that can be.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=hpv,categories=hostpath-csi
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.node`
// +kubebuilder:selectablefield:JSONPath=`.spec.pool`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.node`
// +kubebuilder:printcolumn:name="Pool",type=string,JSONPath=`.spec.pool`
// +kubebuilder:printcolumn:name="Bytes",type=integer,JSONPath=`.spec.capacityBytes`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.claim.namespace`
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.claim.name`
// +kubebuilder:printcolumn:name="Pod",type=string,JSONPath=`.spec.ephemeral.podName`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Enforced",type=boolean,JSONPath=`.status.enforced`,priority=1
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.status.path`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
type HostPathVolume struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec HostPathVolumeSpec `json:"spec"`
	// +optional
	Status HostPathVolumeStatus `json:"status,omitempty"`
}

// HostPathVolumeSpec is what the controller wants of a volume.
//
// +kubebuilder:validation:XValidation:rule="self.name == oldSelf.name",message="a volume's name cannot change"
// +kubebuilder:validation:XValidation:rule="self.node == oldSelf.node",message="a volume cannot move to another node"
// +kubebuilder:validation:XValidation:rule="self.pool == oldSelf.pool",message="a volume cannot move to another pool"
// +kubebuilder:validation:XValidation:rule="self.accessType == oldSelf.accessType",message="a volume's access type cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.path) == has(oldSelf.path) && (!has(self.path) || self.path == oldSelf.path)",message="a volume's path cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.adopt) == has(oldSelf.adopt) && (!has(self.adopt) || self.adopt == oldSelf.adopt)",message="what a volume was made of cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.source) == has(oldSelf.source) && (!has(self.source) || self.source == oldSelf.source)",message="a volume's source cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.provisioning) == has(oldSelf.provisioning) && (!has(self.provisioning) || self.provisioning == oldSelf.provisioning)",message="a volume's provisioning cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.ephemeral) == has(oldSelf.ephemeral) && (!has(self.ephemeral) || self.ephemeral == oldSelf.ephemeral)",message="a volume is ephemeral, or not, for all its life"
// +kubebuilder:validation:XValidation:rule="self.capacityBytes >= 0",message="a capacity cannot be negative"
type HostPathVolumeSpec struct {
	state.VolumeSpec `json:",inline"`

	Deletion `json:",inline"`
}

// HostPathVolumeStatus is what the node's agent saw.
type HostPathVolumeStatus struct {
	state.VolumeStatus `json:",inline"`

	// Conditions say what of this is so, for `kubectl wait`.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HostPathVolumeList is a list of volumes.
//
// +kubebuilder:object:root=true
type HostPathVolumeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HostPathVolume `json:"items"`
}

// Desired returns what shall be.
func (v *HostPathVolume) Desired() *state.VolumeSpec { return &v.Spec.VolumeSpec }

// Observed returns what is.
func (v *HostPathVolume) Observed() *state.VolumeStatus { return &v.Status.VolumeStatus }

// Deletion returns whether the end of the volume was asked for.
func (v *HostPathVolume) Deletion() *Deletion { return &v.Spec.Deletion }

// RecordID returns the volume ID.
func (v *HostPathVolume) RecordID() string { return v.Name }

// SetRecordID names a new object.
func (v *HostPathVolume) SetRecordID(id string) { v.Name = id }

// NodeID returns where the volume lives.
func (v *HostPathVolume) NodeID() string { return v.Spec.Node }
