package btrfs

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// What the filesystem takes for itself is not the user's loss.
func TestAVolumeTakesAllItsBytes(t *testing.T) {
	at := filesystem.New(t, "btrfs", 2<<30)
	if err := EnableQuota(at); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(at, "pool")
	if err := pool.Prepare(path, "store-1"); err != nil {
		t.Fatal(err)
	}
	b := openAgain(t, path)
	for _, c := range []struct {
		capacity, file int64
	}{
		{1 << 20, 1 << 20},
		{16 << 20, 16 << 20},
		{256 << 20, 256 << 20},
		{16 << 20, 64 << 10}, // many files
	} {
		t.Run(fmt.Sprintf("%d bytes in files of %d", c.capacity, c.file), func(t *testing.T) {
			v := state.Volume{Meta: state.Meta{ID: fmt.Sprintf("v%d-%d", c.capacity, c.file), UID: "0"},
				Spec: state.VolumeSpec{Pool: "p", CapacityBytes: c.capacity, AccessType: state.MountAccess, Mode: 0o700}}
			if err := b.Build(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Place(t.Context(), v); err != nil {
				t.Fatal(err)
			}
			data := make([]byte, 64<<10)
			_, _ = rand.Read(data)
			for written := int64(0); written < c.capacity; {
				f, err := os.Create(filepath.Join(path, "volumes", v.ID, fmt.Sprint(written)))
				if err != nil {
					t.Fatalf("after %d bytes: %v", written, err)
				}
				for end := written + c.file; written < end; written += int64(len(data)) {
					if _, err := f.Write(data); err != nil {
						t.Fatalf("after %d bytes: %v", written, err)
					}
				}
				if err := f.Sync(); err != nil {
					t.Fatalf("after %d bytes: %v", written, err)
				}
				f.Close()
			}
		})
	}
}
