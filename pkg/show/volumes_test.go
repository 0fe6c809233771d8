package show

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAVolumeIsShownAsWhoseItIs(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		volume Volume
		want   string
	}{
		"a claim's":                    {Volume{ID: "pvc-1", Claim: &state.Claim{Namespace: "shop", Name: "data"}}, "shop/data "},
		"a pod's":                      {Volume{ID: "inline-1", Pod: &state.Pod{Namespace: "shop", Name: "worker"}}, "pod shop/worker "},
		"of a pod that was never told": {Volume{ID: "inline-1", Pod: &state.Pod{}}, "inline-1 "},
		"of a pod with a hostile name": {Volume{ID: "inline-1", Pod: &state.Pod{Namespace: "shop", Name: "a\x1b[2Jb"}}, `pod "shop/a\x1b[2Jb" `},
		"nobody's":                     {Volume{ID: "a"}, "a "},
	} {
		c.volume.CreatedAt = now
		var out bytes.Buffer
		if err := (Volumes{Volumes: []Volume{c.volume}}).Table(false, now).Write(&out, Style{}); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(out.String(), "\n"); !strings.HasPrefix(lines[1], c.want) {
			t.Errorf("%s: %s", name, lines[1])
		}
	}
}
