//go:build kubestore

package deploy

import (
	"slices"
	"testing"
)

// An API server knows all that can be installed, every field of it. The objects of the
// VolumeSnapshot CRDs are left out: these are not ours.
func TestTheAPIServerTakesEverything(t *testing.T) {
	all := everything(t)
	for name, objects := range examples(t) {
		// Its account is made by a controller, of which there is none here.
		account := object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "default", "namespace": "default"}}
		all["examples/"+name] = append([]object{account}, objects...)
	}
	for name, objects := range all {
		t.Run(name, func(t *testing.T) {
			objects = slices.DeleteFunc(slices.Clone(objects), func(o object) bool { return o["apiVersion"] == "snapshot.storage.k8s.io/v1" })
			if err := apply(t.Context(), t.TempDir(), objects, "--validate=strict"); err != nil {
				t.Error(err)
			}
		})
	}
}
