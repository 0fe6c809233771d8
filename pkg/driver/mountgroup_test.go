package driver

import (
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAMountGroupIsANumber(t *testing.T) {
	for given, want := range map[string]int{"": noGroup, "0": 0, "2000": 2000, "4294967294": 4294967294} {
		if got, err := parseGroup(given); got != want || err != nil {
			t.Errorf("%q is %d, %v; want %d", given, got, err, want)
		}
	}
	for _, given := range []string{"users", "-1", "4294967295", "99999999999", "007", "+7", " 7", "7\x00"} {
		_, err := parseGroup(given)
		if state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), "volume_capability.mount.volume_mount_group is ") {
			t.Errorf("%q: %v", given, err)
		}
	}
}
