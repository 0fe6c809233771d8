package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// HostPathNode is one node and its pools. The node's own agent writes all of it. Its
// name is the CSI node ID, or a hash of one that cannot name an object.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=hpn,categories=hostpath-csi
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.node`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.status.summary.pools`
// +kubebuilder:printcolumn:name="Free",type=string,JSONPath=`.status.summary.free`
// +kubebuilder:printcolumn:name="Volumes",type=integer,JSONPath=`.status.summary.volumes`
// +kubebuilder:printcolumn:name="Snapshots",type=integer,JSONPath=`.status.summary.snapshots`
// +kubebuilder:printcolumn:name="Problem",type=string,JSONPath=`.status.conditions[?(@.status=="False")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="PoolsUsable")].message`,priority=1
type HostPathNode struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec HostPathNodeSpec `json:"spec"`
	// +optional
	Status HostPathNodeStatus `json:"status,omitempty"`
}

// HostPathNodeSpec is what a node's agent has committed itself to.
//
// +kubebuilder:validation:XValidation:rule="self.node == oldSelf.node",message="a node's ID cannot change"
type HostPathNodeSpec struct {
	// Node is the whole CSI node ID.
	Node string `json:"node"`

	state.NodeSpec `json:",inline"`

	Deletion `json:",inline"`
}

// HostPathNodeStatus is what a node's agent tells about its pools.
type HostPathNodeStatus struct {
	state.NodeStatus `json:",inline"`

	// Summary is the pools for the eye.
	// +optional
	Summary *NodeSummary `json:"summary,omitempty"`

	// Conditions say what of this is so, for `kubectl wait`.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// HostPathNodeList is a list of nodes.
//
// +kubebuilder:object:root=true
type HostPathNodeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []HostPathNode `json:"items"`
}

// Desired returns what shall be.
func (n *HostPathNode) Desired() *state.NodeSpec { return &n.Spec.NodeSpec }

// Observed returns what is.
func (n *HostPathNode) Observed() *state.NodeStatus { return &n.Status.NodeStatus }

// Deletion returns whether the end of the record was asked for.
func (n *HostPathNode) Deletion() *Deletion { return &n.Spec.Deletion }

// RecordID returns the CSI node ID.
func (n *HostPathNode) RecordID() string { return n.Spec.Node }

// SetRecordID names a new object.
func (n *HostPathNode) SetRecordID(id string) { n.Name, n.Spec.Node = state.VolumeID(id), id }

// NodeID returns the CSI node ID.
func (n *HostPathNode) NodeID() string { return n.Spec.Node }
