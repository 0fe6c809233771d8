package show

import (
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// PersistentVolume is one of Kubernetes, as far as it takes to have a volume of the driver
// claimed.
type PersistentVolume struct {
	APIVersion string               `json:"apiVersion"`
	Kind       string               `json:"kind"`
	Metadata   objectName           `json:"metadata"`
	Spec       persistentVolumeSpec `json:"spec"`
}

type objectName struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

type persistentVolumeSpec struct {
	Capacity                      map[string]string `json:"capacity"`
	AccessModes                   []string          `json:"accessModes"`
	PersistentVolumeReclaimPolicy string            `json:"persistentVolumeReclaimPolicy"`
	StorageClassName              string            `json:"storageClassName"`
	VolumeMode                    string            `json:"volumeMode,omitempty"`
	ClaimRef                      *objectName       `json:"claimRef,omitempty"`
	CSI                           csiSource         `json:"csi"`
	NodeAffinity                  nodeAffinity      `json:"nodeAffinity"`
}

type csiSource struct {
	Driver       string `json:"driver"`
	VolumeHandle string `json:"volumeHandle"`
}

type nodeAffinity struct {
	Required struct {
		NodeSelectorTerms []nodeSelectorTerm `json:"nodeSelectorTerms"`
	} `json:"required"`
}

type nodeSelectorTerm struct {
	MatchExpressions []nodeRequirement `json:"matchExpressions"`
}

type nodeRequirement struct {
	Key      string   `json:"key"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

// PersistentVolumeOf returns the PersistentVolume of a volume of that many bytes. It
// is kept when its claim is deleted: what was there before the driver is not the driver's to remove.
func PersistentVolumeOf(driver, topologyKey, id, node string, bytes int64, kind state.AccessType, claim *state.Claim) PersistentVolume {
	pv := PersistentVolume{APIVersion: "v1", Kind: "PersistentVolume", Metadata: objectName{Name: id}, Spec: persistentVolumeSpec{
		Capacity: map[string]string{"storage": resource.NewQuantity(bytes, resource.BinarySI).String()}, AccessModes: []string{"ReadWriteOnce"}, PersistentVolumeReclaimPolicy: "Retain",
		CSI: csiSource{driver, id}}}
	pv.Spec.NodeAffinity.Required.NodeSelectorTerms = []nodeSelectorTerm{{MatchExpressions: []nodeRequirement{{Key: topologyKey, Operator: "In", Values: []string{node}}}}}
	if kind == state.BlockAccess {
		pv.Spec.VolumeMode = "Block"
	}
	if claim != nil {
		pv.Spec.ClaimRef = &objectName{Namespace: claim.Namespace, Name: claim.Name}
	}
	return pv
}
