package btrfs

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Request numbers and structures of linux/btrfs.h. The magic is 0x94.
const (
	iocSubvolumeCreate  = 0x5000940e // _IOW(0x94, 14, struct btrfs_ioctl_vol_args)
	iocSubvolumeDestroy = 0x5000940f // _IOW(0x94, 15, struct btrfs_ioctl_vol_args)
	iocInodeLookup      = 0xd0009412 // _IOWR(0x94, 18, struct btrfs_ioctl_ino_lookup_args)
)

// volumeArguments is struct btrfs_ioctl_vol_args.
type volumeArguments struct {
	fd   int64
	name [4088]byte // BTRFS_PATH_NAME_MAX and a NUL
}

func named(name string) (*volumeArguments, error) {
	var a volumeArguments
	if len(name) > 255 {
		return nil, fmt.Errorf("name of a subvolume: %w", unix.ENAMETOOLONG)
	}
	copy(a.name[:], name)
	return &a, nil
}

// createSubvolume makes a subvolume of that name in a directory.
func createSubvolume(dirfd int, name string) error {
	a, err := named(name)
	if err != nil {
		return err
	}
	return ioctl(dirfd, iocSubvolumeCreate, unsafe.Pointer(a))
}

// destroySubvolume removes the subvolume of that name from a directory, with all its
// files: EINVAL or ENOTTY if it is none, ENOTEMPTY if there are others in it.
func destroySubvolume(dirfd int, name string) error {
	a, err := named(name)
	if err != nil {
		return err
	}
	return ioctl(dirfd, iocSubvolumeDestroy, unsafe.Pointer(a))
}

// firstFree is the inode number of a subvolume's root directory
// (BTRFS_FIRST_FREE_OBJECTID).
const firstFree = 256

// subvolumeID returns the ID of the subvolume that d is the root of.
func subvolumeID(d *os.File) (uint64, error) {
	defer runtime.KeepAlive(d)
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return 0, err
	}
	if st.Ino != firstFree {
		return 0, fmt.Errorf("%s is no subvolume: %w", d.Name(), unix.EINVAL)
	}
	a := struct {
		tree, object uint64
		name         [4080]byte
	}{object: firstFree} // tree 0: that of d
	if err := ioctl(int(d.Fd()), iocInodeLookup, unsafe.Pointer(&a)); err != nil {
		return 0, err
	}
	return a.tree, nil
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}
