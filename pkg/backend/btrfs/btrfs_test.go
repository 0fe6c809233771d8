package btrfs

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/backendtest"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

// TestBackend runs the suite with each kind of quota that btrfs has, and without.
func TestBackend(t *testing.T) {
	classic := func(path string) error {
		out, err := exec.Command("btrfs", "quota", "enable", path).CombinedOutput()
		if err != nil {
			return fmt.Errorf("btrfs quota enable: %w: %s", err, out)
		}
		return nil
	}
	for name, quota := range map[string]func(path string) error{
		"simple quotas":  EnableQuota,
		"classic quotas": classic,
		"no quotas":      nil,
	} {
		t.Run(name, func(t *testing.T) {
			at := filesystem.New(t, "btrfs", 2<<30)
			if quota != nil {
				if err := quota(at); err != nil {
					t.Fatal(err)
				}
			}
			var pools atomic.Int32
			open := func(t *testing.T) backend.Backend {
				path := filepath.Join(at, strconv.Itoa(int(pools.Add(1))))
				if err := pool.Prepare(path, "store-1"); err != nil {
					t.Fatal(err)
				}
				b := openAgain(t, path)
				if f := b.Features(); f.EnforcesLimits != (quota != nil) || f.Filesystem != "btrfs" {
					t.Errorf("features: %+v", f)
				}
				return b
			}
			backendtest.Run(t, open, backendtest.Reopen(func(t *testing.T, b backend.Backend) backend.Backend {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				return openAgain(t, b.(*Backend).Path())
			}))
		})
	}
}

func openAgain(t *testing.T, path string) *Backend {
	t.Helper()
	p, err := pool.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}
