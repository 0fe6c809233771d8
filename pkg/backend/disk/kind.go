package disk

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// kind is what one kind of filesystem does its own way.
type kind struct {
	maker maker
	// options are those it is mounted with.
	options func(Disk) []option
	// limit switches on what limits need, once it is mounted.
	limit func(at string) error
	// bytes tells how large it is, grow makes it larger.
	bytes func(point *os.File) (int64, error)
	grow  func(point *os.File, bytes int64) error
}

var kinds = map[string]kind{
	"xfs": {
		// Sectors of 4096 bytes, as the disk below an image may have today or tomorrow.
		maker:   maker{program: "mkfs.xfs", pkg: "xfsprogs", args: []string{"-q", "-f", "-K", "-m", "reflink=1", "-s", "size=4096"}},
		options: xfsOptions,
		limit:   func(string) error { return nil }, // prjquota cannot be switched on later
		bytes:   xfsBytes,
		grow:    xfsGrow,
	},
	"btrfs": {
		maker:   maker{program: "mkfs.btrfs", pkg: "btrfs-progs", args: []string{"-q", "-f", "-K"}},
		options: btrfsOptions,
		limit:   btrfs.EnsureQuota,
		bytes:   btrfsBytes,
		grow:    btrfsGrow,
	},
}

// Filesystems lists the kinds that a disk may have.
func Filesystems() []string { return []string{"btrfs", "xfs"} }

func xfsOptions(d Disk) (all []option) {
	if !d.Unlimited {
		all = append(all, option{"prjquota", "the kernel has no quota of XFS (CONFIG_XFS_QUOTA)"})
	}
	if d.Provisioning == state.Thin {
		all = append(all, option{"discard", "what is removed gives no room back to the image's filesystem"})
	}
	return all
}

func btrfsOptions(d Disk) []option {
	if d.Image != "" && d.Provisioning != state.Thin {
		return []option{{"nodiscard", "it is the default of older kernels"}} // else a thick image would become a thin one
	}
	return nil
}

// struct xfs_fsop_geom_v1 and xfs_growfs_data, linux/fs/xfs/libxfs/xfs_fs.h.
type xfsGeometry struct {
	blockSize, _, _, _, _, _, _, imaxPercent uint32
	dataBlocks, _, _, _                      uint64
	_                                        [16]byte
	_                                        [8]uint32
}

type xfsGrowData struct {
	newBlocks   uint64
	imaxPercent uint32
	_           uint32
}

const (
	xfsIocGeometry = 0x80705864 // _IOR('X', 100, struct xfs_fsop_geom_v1)
	xfsIocGrowData = 0x4010586e // _IOW('X', 110, struct xfs_growfs_data)
)

func xfsBytes(point *os.File) (int64, error) {
	var g xfsGeometry
	if err := ioctl(point, xfsIocGeometry, unsafe.Pointer(&g)); err != nil {
		return 0, fmt.Errorf("XFS_IOC_FSGEOMETRY: %w", err)
	}
	return int64(g.dataBlocks) * int64(g.blockSize), nil
}

func xfsGrow(point *os.File, bytes int64) error {
	var g xfsGeometry
	if err := ioctl(point, xfsIocGeometry, unsafe.Pointer(&g)); err != nil {
		return fmt.Errorf("XFS_IOC_FSGEOMETRY: %w", err)
	}
	data := xfsGrowData{newBlocks: uint64(bytes) / uint64(g.blockSize), imaxPercent: g.imaxPercent}
	if err := ioctl(point, xfsIocGrowData, unsafe.Pointer(&data)); err != nil {
		return fmt.Errorf("XFS_IOC_FSGROWFSDATA: %w", err)
	}
	return nil
}

const (
	btrfsIocResize  = 0x50009403 // _IOW(0x94, 3, struct btrfs_ioctl_vol_args)
	btrfsIocDevInfo = 0xd000941e // _IOWR(0x94, 30, struct btrfs_ioctl_dev_info_args)
)

func btrfsBytes(point *os.File) (int64, error) {
	var a struct { // struct btrfs_ioctl_dev_info_args
		id    uint64
		_     [16]byte
		_     uint64 // used
		total uint64
		_     [4096 - 40]byte
	}
	a.id = 1 // the first, and with these pools the only one
	if err := ioctl(point, btrfsIocDevInfo, unsafe.Pointer(&a)); err != nil {
		return 0, fmt.Errorf("BTRFS_IOC_DEV_INFO: %w", err)
	}
	return int64(a.total), nil
}

func btrfsGrow(point *os.File, _ int64) error {
	var a struct { // struct btrfs_ioctl_vol_args
		fd   int64
		name [4088]byte
	}
	copy(a.name[:], "1:max")
	if err := ioctl(point, btrfsIocResize, unsafe.Pointer(&a)); err != nil {
		return fmt.Errorf("BTRFS_IOC_RESIZE: %w", err)
	}
	return nil
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	return retry(func() error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
			return errno
		}
		return nil
	})
}
