package floor

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What linux/fs.h and linux/quota.h call these.
const (
	setAttributes   = 0x401c5820 // FS_IOC_FSSETXATTR
	inheritProject  = 0x200      // FS_XFLAG_PROJINHERIT
	setProjectLimit = 0x800008<<8 | 2
	blockLimits     = 1 // QIF_BLIMITS
	quotaBlock      = 1024
)

// createInProject makes a directory that is a project of its own with a limit, as XFS and
// ext4 have it, and fsyncs it and the directory that it is in.
func createInProject(parent int, name string, project uint32, bytes int64) error {
	if err := unix.Mkdirat(parent, name, 0o777); err != nil {
		return err
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attributes := struct {
		flags, _, _, project, _ uint32
		_                       [8]byte
	}{flags: inheritProject, project: project}
	if err := ioctl(fd, setAttributes, "project of "+name, unsafe.Pointer(&attributes)); err != nil {
		return err
	}
	if err := limitProject(fd, project, bytes); err != nil {
		return err
	}
	if err := unix.Fsync(fd); err != nil {
		return err
	}
	return unix.Fsync(parent)
}

// limitProject sets how many bytes a project may have; 0: any number.
func limitProject(fd int, project uint32, bytes int64) error {
	limit := struct {
		hard, _, _, _, _, _, _, _ uint64
		valid                     uint32
	}{hard: uint64(bytes / quotaBlock), valid: blockLimits}
	if _, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), setProjectLimit, uintptr(project), uintptr(unsafe.Pointer(&limit)), 0, 0); errno != 0 {
		return fmt.Errorf("limit of project %d: %w", project, errno)
	}
	return nil
}
