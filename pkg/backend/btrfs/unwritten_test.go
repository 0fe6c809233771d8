package btrfs

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// What a pod has written, and the kernel not yet, is in the snapshot that is taken next:
// it counts, for the volume and for what the snapshot will take.
func TestWhatIsNotOnTheDiskYetIsCounted(t *testing.T) {
	const written, slack = 12 << 20, 1 << 20
	for kind, switchOn := range map[string]func(qgroups) error{
		"simple":  func(q qgroups) error { return q.enable(enableSimple) },
		"classic": qgroups.enableClassic,
	} {
		t.Run(kind, func(t *testing.T) {
			at := filesystem.New(t, "btrfs", 512<<20)
			root, err := os.Open(at)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if err := switchOn(qgroups{pool: root}); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(at, "pool")
			if err := pool.Prepare(path, "store-1"); err != nil {
				t.Fatal(err)
			}
			b := openAgain(t, path)
			v := state.Volume{Meta: state.Meta{ID: "v", UID: "0"},
				Spec:   state.VolumeSpec{Pool: "p", CapacityBytes: 64 << 20, AccessType: state.MountAccess, Mode: 0o700},
				Status: state.VolumeStatus{CapacityBytes: 64 << 20}}
			if err := b.Build(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Place(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			look := func(when string) {
				t.Helper()
				takes, err := b.Footprint(t.Context(), v)
				if err != nil {
					t.Fatal(err)
				}
				u, err := b.Usage(t.Context(), v)
				if err != nil {
					t.Fatal(err)
				}
				for what, got := range map[string]int64{"a snapshot will take": takes, "the volume uses": u.UsedBytes} {
					if got < written || got > written+slack {
						t.Errorf("%s: %s %d bytes, want %d and little more", when, what, got, written)
					}
				}
			}
			if err := os.WriteFile(filepath.Join(path, "volumes", "v", "file"), make([]byte, written), 0o600); err != nil {
				t.Fatal(err)
			}
			look("not on the disk yet")
			if err := unix.Syncfs(int(root.Fd())); err != nil {
				t.Fatal(err)
			}
			look("on the disk")
		})
	}
}
