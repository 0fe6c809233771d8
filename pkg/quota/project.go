package quota

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fileAttributes is struct fsxattr (linux/fs.h).
type fileAttributes struct {
	Flags         uint32 // FS_XFLAG_*
	ExtentSize    uint32
	Extents       uint32
	Project       uint32
	CowExtentSize uint32
	_             [8]byte
}

const (
	// _IOR('X', 31, struct fsxattr) and _IOW('X', 32, struct fsxattr), in the encoding
	// of the architectures that this driver is built for.
	fsGetXattr = 2<<30 | unsafe.Sizeof(fileAttributes{})<<16 | 'X'<<8 | 31
	fsSetXattr = 1<<30 | unsafe.Sizeof(fileAttributes{})<<16 | 'X'<<8 | 32

	// inheritFlag is FS_XFLAG_PROJINHERIT: what is made in the directory carries its
	// project, and directories the flag as well.
	inheritFlag = 0x200
)

func attributesIoctl(f *os.File, request uintptr, a *fileAttributes) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(a)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return errno
	}
	return nil
}

// SetProject makes the file one of the project, with what it takes now; a directory
// hands the project on to what is made in it from now on. f is open for reading.
// Project 0 is that of all files that are in none, and is not handed on.
func SetProject(f *os.File, id uint32) error {
	var a fileAttributes
	if err := attributesIoctl(f, fsGetXattr, &a); err != nil {
		return fmt.Errorf("reading the project of %s: %w", f.Name(), err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	a.Project = id
	a.Flags &^= inheritFlag
	if id != 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		a.Flags |= inheritFlag
	}
	if err := attributesIoctl(f, fsSetXattr, &a); err != nil {
		return fmt.Errorf("giving %s project %d: %w", f.Name(), id, err)
	}
	return nil
}

// Project returns the project that f carries, and whether it is handed on to what is
// made in it. f is open for reading.
func Project(f *os.File) (id uint32, inherited bool, err error) {
	var a fileAttributes
	if err := attributesIoctl(f, fsGetXattr, &a); err != nil {
		return 0, false, fmt.Errorf("reading the project of %s: %w", f.Name(), err)
	}
	return a.Project, a.Flags&inheritFlag != 0, nil
}
