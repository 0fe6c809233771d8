package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of these resources.
var GroupVersion = schema.GroupVersion{Group: "hostpath-csi.dev", Version: "v1alpha1"}

// The resources, as they are named in URLs and in RBAC rules.
const (
	Volumes   = "hostpathvolumes"
	Snapshots = "hostpathsnapshots"
	Nodes     = "hostpathnodes"
)

// Finalizer keeps an object until the agent has found that the disk holds nothing
// of it any more.
const Finalizer = "hostpath-csi.dev/agent"

// AddToScheme adds the kinds of this package to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&HostPathVolume{}, &HostPathVolumeList{},
		&HostPathSnapshot{}, &HostPathSnapshotList{},
		&HostPathNode{}, &HostPathNodeList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
