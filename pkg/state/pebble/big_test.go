package pebble

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAHundredThousandVolumes(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes 100,000 records")
	}
	const volumes, page = 100_000, 1000
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true})
	for i := range volumes {
		// Pending, so that none of them waits for the disk.
		id := fmt.Sprintf("pvc-%08d", i)
		_, err := s.Volumes().Create(t.Context(), id, state.VolumeSpec{
			Name: id, Node: "node-1", Pool: "default", CapacityBytes: 1 << 30, AccessType: state.MountAccess, Mode: 0o777,
			Claim: &state.Claim{Namespace: "default", Name: "data-" + id, PV: id},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		count, next := 0, ""
		for first := true; first || next != ""; first = false {
			list, after, err := s.Volumes().List(t.Context(), state.Page{After: next, Limit: page})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range list {
				if want := fmt.Sprintf("pvc-%08d", count); v.ID != want {
					t.Fatalf("record %d is %s, want %s", count, v.ID, want)
				}
				count++
			}
			next = after
		}
		if count != volumes {
			t.Fatalf("listed %d records", count)
		}
		mustClose(t, s)
		s = mustOpen(t, s.dir, Options{})
	}
}
