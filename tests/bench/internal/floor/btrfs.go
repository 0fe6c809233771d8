package floor

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/btrfs.h.
const (
	subvolumeCreate = 0x5000940e // BTRFS_IOC_SUBVOL_CREATE
	subvolumeDelete = 0x5000940f // BTRFS_IOC_SNAP_DESTROY
	snapshotCreate  = 0x50009417 // BTRFS_IOC_SNAP_CREATE_V2
	quotaControl    = 0xc0109428 // BTRFS_IOC_QUOTA_CTL
	qgroupLimit     = 0x8030942b // BTRFS_IOC_QGROUP_LIMIT
	inodeLookup     = 0xd0009412 // BTRFS_IOC_INO_LOOKUP

	enableSimple  = 4
	maxReferenced = 1
	firstInode    = 256
)

func ioctl(fd int, request uint, what string, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return fmt.Errorf("%s: %w", what, errno)
	}
	return nil
}

// EnableSimpleQuotas switches them on for the btrfs that a directory is on.
func EnableSimpleQuotas(at string) error {
	return in(at, func(fd int) error {
		a := struct{ command, status uint64 }{command: enableSimple}
		return ioctl(fd, quotaControl, "switching simple quotas on", unsafe.Pointer(&a))
	})
}

// in opens a directory for the time of one call.
func in(path string, do func(fd int) error) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return do(int(d.Fd()))
}

// createLimited makes a subvolume with a limit, and fsyncs the directory that it is in.
func createLimited(parent int, name string, bytes int64) error {
	var a struct {
		_    int64
		name [4088]byte
	}
	copy(a.name[:], name)
	if err := ioctl(parent, subvolumeCreate, "making subvolume "+name, unsafe.Pointer(&a)); err != nil {
		return err
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	tree := struct {
		tree, object uint64
		_            [4080]byte
	}{object: firstInode}
	if err := ioctl(fd, inodeLookup, "number of "+name, unsafe.Pointer(&tree)); err != nil {
		return err
	}
	limit := struct{ group, flags, referenced, exclusive, _, _ uint64 }{group: tree.tree, flags: maxReferenced, referenced: uint64(bytes)}
	if err := ioctl(fd, qgroupLimit, "limiting "+name, unsafe.Pointer(&limit)); err != nil {
		return err
	}
	return unix.Fsync(parent)
}

// snapshot makes a snapshot of a subvolume: durably, since the call commits.
func snapshot(from, parent int, name string) error {
	var a struct {
		fd, transaction, flags uint64
		_                      [4]uint64
		name                   [4040]byte
	}
	a.fd = uint64(from)
	copy(a.name[:], name)
	return ioctl(parent, snapshotCreate, "snapshot "+name, unsafe.Pointer(&a))
}

// deleteSubvolume removes a subvolume with all that is in it.
func deleteSubvolume(parent int, name string) error {
	var a struct {
		_    int64
		name [4088]byte
	}
	copy(a.name[:], name)
	return ioctl(parent, subvolumeDelete, "removing subvolume "+name, unsafe.Pointer(&a))
}
