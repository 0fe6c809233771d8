package driver

import (
	"strconv"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// noGroup is that of a capability without volume_mount_group.
const noGroup = -1

// parseGroup reads volume_mount_group, which Kubernetes takes from a pod's fsGroup.
func parseGroup(given string) (gid int, err error) {
	if given == "" {
		return noGroup, nil
	}
	n, err := strconv.ParseUint(given, 10, 32)
	if err != nil || n == 1<<32-1 || strconv.FormatUint(n, 10) != given {
		return noGroup, state.Errorf(state.Invalid, "volume_capability.mount.volume_mount_group is %s; it takes a group ID, 0 to 4294967294", state.Quote(given))
	}
	return int(n), nil
}
