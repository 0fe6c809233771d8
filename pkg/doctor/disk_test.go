package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestAPoolWithADiskOfItsOwn(t *testing.T) {
	at := filesystem.New(t, "tmpfs", 64*mib)
	there := filepath.Join(at, "there.img")
	must(t, os.WriteFile(there, nil, 0o600), os.Truncate(there, 400*mib))
	for name, c := range map[string]struct {
		disk   disk.Disk
		want   Verdict
		found  string
		remedy string
	}{
		"an image that is there":       {disk.Disk{Image: there, SizeBytes: 400 * mib, Filesystem: "xfs"}, OK, "400 MiB is there", ""},
		"an image to be made":          {disk.Disk{Image: filepath.Join(at, "a/b.img"), SizeBytes: 32 * mib, Filesystem: "btrfs"}, OK, "at its first start", ""},
		"an image that is too large":   {disk.Disk{Image: filepath.Join(at, "b.img"), SizeBytes: 400 * mib, Filesystem: "xfs"}, Warning, "is to have 400 MiB", "make room"},
		"an image that is a directory": {disk.Disk{Image: at, SizeBytes: mib, Filesystem: "xfs"}, Failure, "no file", ""},
		"a device that is missing":     {disk.Disk{Device: "/dev/nonexistent", Filesystem: "xfs"}, Failure, "no such file", "lsblk"},
		"a device that is none":        {disk.Disk{Device: "/dev/null", Filesystem: "xfs"}, Failure, "no block device", "lsblk"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Pool{Name: "default", Path: filepath.Join(at, "pool"), Disk: &c.disk}
			all := p.Check()
			if f := wantFinding(t, all, "disk", c.want, c.remedy); !strings.Contains(f.Found, c.found) {
				t.Errorf("it found %q, want %q", f.Found, c.found)
			}
			wantFinding(t, all, "mkfs."+c.disk.Filesystem, OK, "")
			for _, f := range all {
				if f.Check == "limits" || f.Check == "reflink" {
					t.Errorf("what lies beneath the pool was looked at: %+v", f)
				}
			}
		})
	}
	mounted := filesystem.New(t, "btrfs", 512*mib)
	all := Pool{Name: "default", Path: mounted, Disk: &disk.Disk{Image: filepath.Join(filepath.Dir(mounted), "image"), Filesystem: "btrfs"}}.Check()
	wantFinding(t, all, "disk", OK, "")
	wantFinding(t, all, "reflink", OK, "")
	wantFinding(t, []Finding{checkMaker("nosuch")}, "mkfs.nosuch", Failure, "xfsprogs")
}
