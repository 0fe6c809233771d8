// Package sanity runs csi-sanity, the CSI project's own conformance suite, against
// the real binary.
package sanity

import (
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMountVolumes(t *testing.T) {
	d := process.Start(t, process.Options{})
	config := sanity.NewTestConfig()
	config.Address = d.Endpoint()
	config.DialOptions = d.DialOptions()
	// csi-sanity makes and removes these itself.
	config.TargetPath = filepath.Join(t.TempDir(), "target")
	config.StagingPath = filepath.Join(t.TempDir(), "staging")
	config.TestVolumeSize = 1 << 30
	config.TestVolumeExpandSize = 2 << 30
	config.TestNodeVolumeAttachLimit = true
	config.IdempotentCount = 10
	sanity.Test(t, config)
}
