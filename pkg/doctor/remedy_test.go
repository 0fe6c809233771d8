package doctor

import (
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
)

// A remedy is for where the filesystem is mounted: the root of a machine cannot be unmounted, nor
// can what a container is shown of a host's.
func TestARemedyFitsHowTheFilesystemIsMounted(t *testing.T) {
	for name, c := range map[string]struct {
		m    mountinfo.Info
		want string
	}{
		"a disk of its own":            {mountinfo.Info{FSType: "ext4", Source: "/dev/sdb", Mountpoint: "/mnt/pool", Root: "/"}, "umount /mnt/pool && tune2fs -O project -Q prjquota /dev/sdb && mount -o prjquota /dev/sdb /mnt/pool"},
		"a disk of its own, with XFS":  {mountinfo.Info{FSType: "xfs", Source: "/dev/sdb", Mountpoint: "/mnt/pool", Root: "/"}, "umount /mnt/pool && mount -o prjquota /dev/sdb /mnt/pool"},
		"the machine's root":           {mountinfo.Info{FSType: "ext4", Source: "/dev/sda", Mountpoint: "/", Root: "/"}, "give the pool a filesystem of its own"},
		"the machine's root, with XFS": {mountinfo.Info{FSType: "xfs", Source: "/dev/sda", Mountpoint: "/", Root: "/"}, "boot with rootflags=prjquota"},
		"a directory of the host's":    {mountinfo.Info{FSType: "ext4", Source: "/dev/sda", Mountpoint: "/var/lib/hostpath-csi", Root: "/var/lib/hostpath-csi"}, "give the pool a filesystem of its own; or have that of /dev/sda mounted on the host"},
	} {
		if got := quotaRemedy(&c.m); !strings.HasPrefix(got, c.want) || strings.Contains(got, "umount /var/lib") {
			t.Errorf("%s: %s", name, got)
		}
	}
}
