package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Deletion is how a record's end is asked for. It is a field of spec and not the
// object's own deletion, because a deletion that the agent refuses (the volume is in
// use) is taken back, and Kubernetes knows no way back from a deletionTimestamp.
type Deletion struct {
	// DeletedAt is when the end was asked for; the agent sees to it.
	// +optional
	DeletedAt *metav1.MicroTime `json:"deletedAt,omitempty"`
}
