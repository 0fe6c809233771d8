//go:build quotavm

package limits

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

var kinds = []kind{
	{"xfs", func(t *testing.T) string {
		return filesystem.New(t, "xfs", 1<<30, filesystem.MountOptions("prjquota"))
	}, unix.ENOSPC, nil},
	{"ext4", func(t *testing.T) string {
		return filesystem.New(t, "ext4", 1<<30, filesystem.MkfsArgs("-O", "quota,project"), filesystem.MountOptions("prjquota"))
	}, unix.EDQUOT, nil},
	{"xfs in an image", func(t *testing.T) string { return process.TempDir(t) }, unix.ENOSPC, inImage("xfs")},
}
