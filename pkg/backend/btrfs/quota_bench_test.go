package btrfs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// BenchmarkQuotas tells what quotas cost who writes: small files that are written anew,
// while ten snapshots of the volume share the old ones, until all is on the disk.
// docs/filesystems.md has the result.
func BenchmarkQuotas(b *testing.B) {
	const files, size, snapshots = 2000, 16 << 10, 10
	for _, c := range []struct {
		kind     string
		switchOn func(qgroups) error
	}{
		{"none", func(qgroups) error { return nil }},
		{"simple", func(q qgroups) error { return q.enable(enableSimple) }},
		{"classic", qgroups.enableClassic},
	} {
		b.Run(c.kind, func(b *testing.B) {
			at := filesystem.New(b, "btrfs", 4<<30)
			root, err := os.Open(at)
			must(b, err)
			defer root.Close()
			must(b, c.switchOn(qgroups{pool: root}))
			path := filepath.Join(at, "pool")
			must(b, pool.Prepare(path, "store-1"))
			p, err := pool.Open(path)
			must(b, err)
			bk, err := New(p, Options{})
			must(b, err)
			defer bk.Close()
			v := state.Volume{Meta: state.Meta{ID: "v", UID: "0"},
				Spec:   state.VolumeSpec{Pool: "p", CapacityBytes: 1 << 30, AccessType: state.MountAccess, Mode: 0o700},
				Status: state.VolumeStatus{CapacityBytes: 1 << 30}}
			must(b, bk.Build(b.Context(), v))
			_, err = bk.Place(b.Context(), v)
			must(b, err)
			write := func() {
				for i := range files {
					must(b, os.WriteFile(filepath.Join(path, "volumes", "v", fmt.Sprint(i)), make([]byte, size), 0o600))
				}
				must(b, unix.Syncfs(int(root.Fd())))
			}
			write()
			round := 0
			for b.Loop() {
				b.StopTimer()
				from, err := bk.Open(v)
				must(b, err)
				var taken []state.Snapshot
				for i := range snapshots {
					s := state.Snapshot{Meta: state.Meta{ID: fmt.Sprintf("s%d-%d", round, i), UID: "0"},
						Spec: state.SnapshotSpec{Pool: "p", Volume: "v", AccessType: state.MountAccess}}
					must(b, bk.Snapshot(b.Context(), s, from, nil))
					taken = append(taken, s)
				}
				round++
				from.Close()
				b.StartTimer()
				write()
				// Deleting them costs classic quotas most: what they shared is counted anew.
				for _, s := range taken {
					must(b, bk.DiscardSnapshot(b.Context(), s))
					must(b, bk.Purge(b.Context(), backend.PassingName(s), func(int) {}))
				}
				must(b, unix.Syncfs(int(root.Fd())))
			}
		})
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
