package config

import (
	"strings"
	"testing"
	"time"
)

func TestAnArchiveIsKeptForDaysOrHours(t *testing.T) {
	const file = "apiVersion: hostpath-csi.dev/v1alpha1\nkind: Configuration\npools:\n- {name: a, path: /srv/a, archiveRetention: "
	for given, want := range map[string]time.Duration{"30d": 720 * time.Hour, "12h": 12 * time.Hour, "1d": 24 * time.Hour, "36500d": 36500 * 24 * time.Hour} {
		c, err := Parse("config.yaml", strings.NewReader(file+given+"}\n"))
		if err != nil || c.Pools[0].ArchiveRetention != want {
			t.Errorf("%s: %v, %v", given, c, err)
		}
	}
	for _, given := range []string{"30", "30m", "0d", "-1d", "1.5d", "d", "36501d", "30 d", "[30d]", "4294967296h"} {
		if _, err := Parse("config.yaml", strings.NewReader(file+given+"}\n")); err == nil || !strings.Contains(err.Error(), "pools[0].archiveRetention") || !strings.Contains(err.Error(), "such as 30d") {
			t.Errorf("%s: %v", given, err)
		}
	}
}
