// Package block runs csi-sanity with block volumes. It is a package of its own because
// ginkgo, which csi-sanity is written with, runs once in a process.
package block

import (
	"path/filepath"
	"testing"

	"github.com/kubernetes-csi/csi-test/v5/pkg/sanity"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestBlockVolumes(t *testing.T) {
	d := process.Start(t, process.Options{})
	config := sanity.NewTestConfig()
	config.Address = d.Endpoint()
	config.DialOptions = d.DialOptions()
	config.TestVolumeAccessType = "block"
	config.TargetPath = filepath.Join(t.TempDir(), "target")
	config.StagingPath = filepath.Join(t.TempDir(), "staging")
	config.TestVolumeSize = 1 << 30
	config.TestVolumeExpandSize = 2 << 30
	config.TestNodeVolumeAttachLimit = true
	config.IdempotentCount = 10
	sanity.Test(t, config)
	// Whatever was published and unpublished, no loop device is left of it.
	for _, left := range process.LoopDevicesOf(t, d.PoolDir()) {
		t.Error(left)
	}
}
