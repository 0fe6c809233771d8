package config

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestParametersOfSnapshots(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]string
		names string // in the error; "": none
	}{
		"none": {nil, ""},
		"what external-snapshotter adds": {map[string]string{
			"csi.storage.k8s.io/volumesnapshot/name": "s", "csi.storage.k8s.io/volumesnapshotcontent/name": "c", "csi.storage.k8s.io/anything-new": ""}, ""},
		"one of a StorageClass": {map[string]string{"pool": "fast"}, `"pool"`},
		"an unknown one":        {map[string]string{"csi.storage.k8s.io/x": "", "copyMode": "fast"}, `"copyMode"`},
		"one without a name":    {map[string]string{"": ""}, `""`},
	} {
		err := CheckSnapshotParameters(c.given)
		if (err != nil) != (c.names != "") || err != nil && (state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), c.names)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
