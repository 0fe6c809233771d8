//go:build !quotavm

package projectquota

import (
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/backendtest"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// TestSuiteWithoutQuota needs no virtual machine, and is not repeated there.
func TestSuiteWithoutQuota(t *testing.T) {
	at := filesystem.New(t, "xfs", 1<<30)
	var pools atomic.Int32
	backendtest.Run(t, func(t *testing.T) backend.Backend {
		return openNew(t, filepath.Join(at, strconv.Itoa(int(pools.Add(1)))), Options{})
	})
}
