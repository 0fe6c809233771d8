package quota

import (
	"testing"
	"unsafe"
)

// TestLayout compares with the sizes and numbers that a C compiler gives for the
// kernel's headers.
func TestLayout(t *testing.T) {
	for what, c := range map[string]struct{ got, want uintptr }{
		"struct fs_disk_quota":  {unsafe.Sizeof(diskQuota{}), 112},
		"d_icount":              {unsafe.Offsetof(diskQuota{}.InoCount), 48},
		"d_rtb_hardlimit":       {unsafe.Offsetof(diskQuota{}.RTBHardLimit), 72},
		"struct fs_quota_statv": {unsafe.Sizeof(quotaState{}), 160},
		"qs_pquota":             {unsafe.Offsetof(quotaState{}.Files) + 2*unsafe.Sizeof(quotaFile{}), 56},
		"qs_btimelimit":         {unsafe.Offsetof(quotaState{}.BlkTimeLimit), 80},
		"struct fsxattr":        {unsafe.Sizeof(fileAttributes{}), 28},
		"FS_IOC_FSGETXATTR":     {fsGetXattr, 0x801c581f},
		"FS_IOC_FSSETXATTR":     {fsSetXattr, 0x401c5820},
		"Q_XGETQUOTA":           {qXGetQuota, 0x5803},
		"Q_XGETNEXTQUOTA":       {qXGetNextQuota, 0x5809},
	} {
		if c.got != c.want {
			t.Errorf("%s: %#x, want %#x", what, c.got, c.want)
		}
	}
}
