// Package v1alpha1 holds the custom resources of the group hostpath-csi.dev: the
// records of package state as Kubernetes keeps them. All are cluster-scoped.
//
// The halves are those of package state, embedded, so that a field that is added
// there is here too; `make generate` writes the CustomResourceDefinitions in
// deploy/base/crd from them, and `make lint` finds those that are out of date. What
// is added here is what a record needs in order to live in Kubernetes only.
//
// The controller writes spec, the agent of the node named there writes status. A
// person may delete an object: it ends when the disk holds nothing of it.
//
// +kubebuilder:object:generate=true
// +groupName=hostpath-csi.dev
package v1alpha1
