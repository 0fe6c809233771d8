package quota

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The commands of quotactl(2) for which the kernel takes the structures of XFS
// (linux/dqblk_xfs.h). Its quota code translates them for every filesystem with
// project quota, ext4 included, and to its own structures nothing is lost in that.
const (
	qXGetQuota     = 'X'<<8 + 3
	qXSetLimit     = 'X'<<8 + 4
	qXGetStateV    = 'X'<<8 + 8
	qXGetNextQuota = 'X'<<8 + 9

	projectType = 2 // PRJQUOTA; linux/quota.h: QCMD(cmd, type) = cmd<<8 | type
)

// basicBlock is the unit of space in diskQuota, whatever the filesystem's block size.
const basicBlock = 512

// diskQuota is struct fs_disk_quota. Space is counted in basic blocks.
type diskQuota struct {
	Version      int8 // FS_DQUOT_VERSION
	Flags        int8 // FS_PROJ_QUOTA
	FieldMask    uint16
	ID           uint32
	BlkHardLimit uint64
	BlkSoftLimit uint64
	InoHardLimit uint64
	InoSoftLimit uint64
	BlkCount     uint64
	InoCount     uint64
	InoTimer     int32
	BlkTimer     int32
	InoWarns     uint16
	BlkWarns     uint16
	TimersHigh   [3]int8
	_            int8
	RTBHardLimit uint64
	RTBSoftLimit uint64
	RTBCount     uint64
	RTBTimer     int32
	RTBWarns     uint16
	_            int16
	_            [8]byte
}

const (
	quotaVersion = 1 // FS_DQUOT_VERSION
	projectFlag  = 2 // FS_PROJ_QUOTA

	// Which limits Q_XSETQLIM is to set: FS_DQ_ISOFT, IHARD, BSOFT, BHARD.
	limitFields = 1<<0 | 1<<1 | 1<<2 | 1<<3
)

// quotaState is struct fs_quota_statv.
type quotaState struct {
	Version      int8 // FS_QSTATV_VERSION1
	_            uint8
	Flags        uint16
	InCore       uint32
	Files        [3]quotaFile // user, group, project
	BlkTimeLimit int32
	InoTimeLimit int32
	RTBTimeLimit int32
	BlkWarnLimit uint16
	InoWarnLimit uint16
	RTBWarnLimit uint16
	_            uint16
	_            uint32
	_            [7]uint64
}

// quotaFile is struct fs_qfilestatv.
type quotaFile struct {
	Inode   uint64
	Blocks  uint64
	Extents uint32
	_       uint32
}

const (
	stateVersion = 1 // FS_QSTATV_VERSION1

	projectAccounted = 1 << 4 // FS_QUOTA_PDQ_ACCT
	projectEnforced  = 1 << 5 // FS_QUOTA_PDQ_ENFD
)

// quotactl calls quotactl_fd(2) for the filesystem that f is on. It needs no path of a
// block device, which a container may not have, and is in Linux since 5.14.
func quotactl[T diskQuota | quotaState](f *os.File, cmd int, id uint32, arg *T) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, f.Fd(), uintptr(cmd<<8|projectType), uintptr(id), uintptr(unsafe.Pointer(arg)), 0, 0)
		runtime.KeepAlive(f)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// hasQuotactlFD tells whether the kernel knows quotactl_fd at all: it looks at the
// descriptor first.
func hasQuotactlFD() bool {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, ^uintptr(0), qXGetStateV<<8|projectType, 0, 0, 0, 0)
	return !errors.Is(errno, unix.ENOSYS)
}
