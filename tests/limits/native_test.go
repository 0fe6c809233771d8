//go:build !quotavm

package limits

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

var kinds = []kind{
	{"btrfs", func(t *testing.T) string {
		at := filesystem.New(t, "btrfs", 1<<30)
		must(t, btrfs.EnableQuota(at))
		return at
	}, unix.EDQUOT, nil},
	{"btrfs in an image", func(t *testing.T) string { return process.TempDir(t) }, unix.EDQUOT, inImage("btrfs")},
}
