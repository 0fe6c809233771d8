package kube

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// object is a custom resource that keeps one record.
type object[S, U any] interface {
	runtime.Object
	metav1.Object
	Desired() *S
	Observed() *U
	Deletion() *v1alpha1.Deletion
	// Conclude writes what follows from the status, into the status.
	Conclude()
	// RecordID returns the ID of the record; SetRecordID names the object after it.
	RecordID() string
	SetRecordID(id string)
	// NodeID returns the node whose agent the record is for.
	NodeID() string
}

// recordOf returns the record that an object keeps. It shares memory with the object.
func recordOf[S, U any, O object[S, U]](obj O) state.Object[S, U] {
	record := state.Object[S, U]{
		Meta: state.Meta{
			ID:         obj.RecordID(),
			UID:        uidOf(obj),
			Generation: obj.GetGeneration(),
			CreatedAt:  obj.GetCreationTimestamp().UTC(),
		},
		Spec:   *obj.Desired(),
		Status: *obj.Observed(),
	}
	record.DeletedForGood = obj.GetDeletionTimestamp() != nil
	switch deletion := obj.Deletion(); {
	case deletion.DeletedAt != nil:
		at := deletion.DeletedAt.UTC()
		record.DeletedAt = &at
	case obj.GetDeletionTimestamp() != nil:
		at := obj.GetDeletionTimestamp().UTC()
		record.DeletedAt = &at
	}
	return record
}

// copyOf returns a record that shares nothing with the object.
func copyOf[S, U any, O object[S, U]](obj O) state.Object[S, U] {
	return recordOf[S, U](obj.DeepCopyObject().(O))
}

func uidOf(obj metav1.Object) string { return strings.ReplaceAll(string(obj.GetUID()), "-", "") }

// objectName returns the name of the object for a record.
func objectName[S, U any, O object[S, U]](obj O, id string) string {
	obj.SetRecordID(id)
	return obj.GetName()
}

// namesRecord tells whether an object has the name that its record would give it. A
// person may have made another.
func namesRecord[S, U any, O object[S, U]](obj O) bool {
	name := objectName[S, U](obj.DeepCopyObject().(O), obj.RecordID())
	return name == obj.GetName() && state.ValidID(name)
}
