package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// CheckSnapshotParameters checks the parameters of a VolumeSnapshotClass (CSI:
// CreateSnapshotRequest.parameters). There are none of the driver's own: how a snapshot
// is made is for the filesystem. What external-snapshotter adds is taken, and not needed.
// Errors have the Reason Invalid.
func CheckSnapshotParameters(given map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !strings.HasPrefix(name, provisionerPrefix) {
			return state.Errorf(state.Invalid, "parameters: unknown key %s; a VolumeSnapshotClass takes none but those of %s", state.Quote(name), provisionerPrefix)
		}
	}
	return nil
}
