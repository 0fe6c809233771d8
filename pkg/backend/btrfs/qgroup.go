package btrfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	iocTreeSearch   = 0xd0009411 // _IOWR(0x94, 17, struct btrfs_ioctl_search_args)
	iocInfo         = 0x8400941f // _IOR(0x94, 31, struct btrfs_ioctl_fs_info_args)
	iocQuotaControl = 0xc0109428 // _IOWR(0x94, 40, struct btrfs_ioctl_quota_ctl_args)
	iocQgroupLimit  = 0x8030942b // _IOR(0x94, 43, struct btrfs_ioctl_qgroup_limit_args)
)

// qgroups are the quota groups of one filesystem. Subvolume N has qgroup 0/N, which
// comes and goes with it.
type qgroups struct {
	pool *os.File
	// on tells whether quotas were on when the pool was opened.
	on bool
	// live is the kernel's directory of the groups as they are, in sysfs: what is in
	// the quota tree is as of the last transaction, up to half a minute ago.
	live string
}

func openQgroups(path string) (q qgroups, err error) {
	if q.pool, err = os.Open(path); err != nil {
		return q, state.Errorf(state.NotReady, "pool directory: %w", err)
	}
	if q.on, err = q.enabled(); err == nil && q.on {
		q.live, err = q.findLive()
	}
	if err != nil {
		return q, errors.Join(fmt.Errorf("quotas of pool %s: %w", path, err), q.pool.Close())
	}
	return q, nil
}

func (q *qgroups) close() error { return q.pool.Close() }

// Keys of the quota tree, and flags of its status item (linux/btrfs_tree.h).
const (
	quotaTree        = 8
	statusKey        = 240
	statusOn         = 1 << 0
	statusRescan     = 1 << 1
	statusInconsist  = 1 << 2
	statusFlagsAt    = 16 // after version and generation
	searchHeaderSize = 32
)

// enabled tells whether quotas are on and right. While they are being counted anew
// (a rescan), limits are not to be relied upon.
func (q *qgroups) enabled() (bool, error) {
	// struct btrfs_ioctl_search_args: the key, then room for what is found.
	var a struct {
		tree                                       uint64
		minObject, maxObject, minOffset, maxOffset uint64
		minTransaction, maxTransaction             uint64
		minType, maxType, items                    uint32
		_                                          uint32
		_                                          [4]uint64
		found                                      [4096 - 104]byte
	}
	a.tree, a.maxTransaction, a.minType, a.maxType, a.items = quotaTree, ^uint64(0), statusKey, statusKey, 1
	err := ioctl(int(q.pool.Fd()), iocTreeSearch, unsafe.Pointer(&a))
	if errors.Is(err, unix.ENOENT) {
		return false, nil // there is no quota tree
	}
	if err != nil {
		return false, err
	}
	if a.items == 0 {
		return false, nil
	}
	flags := binary.LittleEndian.Uint64(a.found[searchHeaderSize+statusFlagsAt:])
	return flags&statusOn != 0 && flags&(statusRescan|statusInconsist) == 0, nil
}

// EnsureQuota switches quotas on for the filesystem that path is on, unless there are
// any: for one that belongs to the driver as a whole. Simple ones are taken where the
// kernel has them.
func EnsureQuota(path string) error {
	q := qgroups{}
	var err error
	if q.pool, err = os.Open(path); err != nil {
		return err
	}
	defer q.pool.Close()
	if q.on, err = q.enabled(); err != nil || q.on {
		return err
	}
	err = q.enable(enableSimple)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.7; or there are classic ones, being counted
		err = q.enableClassic()
	}
	if err != nil {
		return fmt.Errorf("switching quotas on for %s: %w", path, err)
	}
	return nil
}

// EnableQuota switches simple quotas on for the filesystem that path is on.
func EnableQuota(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := (qgroups{pool: f}).enable(enableSimple); err != nil {
		return fmt.Errorf("switching simple quotas on for %s: %w", path, err)
	}
	return nil
}

// Commands of BTRFS_IOC_QUOTA_CTL.
const (
	enableClassicQuota = 1 // BTRFS_QUOTA_CTL_ENABLE
	enableSimple       = 4 // BTRFS_QUOTA_CTL_ENABLE_SIMPLE_QUOTA, since Linux 6.7
)

func (q qgroups) enable(command uint64) error {
	a := struct{ command, status uint64 }{command: command}
	return ioctl(int(q.pool.Fd()), iocQuotaControl, unsafe.Pointer(&a))
}

// enableClassic waits until everything is counted: limits are not to be relied upon
// before.
func (q qgroups) enableClassic() error {
	if err := q.enable(enableClassicQuota); err != nil {
		return err
	}
	const iocRescanWait = 0x942e // _IO(0x94, 46)
	return ioctl(int(q.pool.Fd()), iocRescanWait, nil)
}

// findLive returns the filesystem's directory of qgroups in sysfs.
func (q *qgroups) findLive() (string, error) {
	var info struct {
		maxID, devices uint64
		id             [16]byte
		_              [1024 - 32]byte
	}
	if err := ioctl(int(q.pool.Fd()), iocInfo, unsafe.Pointer(&info)); err != nil {
		return "", err
	}
	dir := fmt.Sprintf("/sys/fs/btrfs/%x-%x-%x-%x-%x/qgroups", info.id[:4], info.id[4:6], info.id[6:8], info.id[8:10], info.id[10:])
	if _, err := os.Stat(dir); err != nil {
		return "", err
	}
	return dir, nil
}

const maxReferenced = 1 << 0 // BTRFS_QGROUP_LIMIT_MAX_RFER

// limit sets how many bytes a subvolume may refer to.
func (q *qgroups) limit(id uint64, bytes int64) error {
	a := struct{ qgroup, flags, referenced, exclusive, _, _ uint64 }{qgroup: id, flags: maxReferenced, referenced: uint64(bytes)}
	return ioctl(int(q.pool.Fd()), iocQgroupLimit, unsafe.Pointer(&a))
}

// limited tells whether a subvolume has a limit.
func (q *qgroups) limited(id uint64) (bool, error) {
	flags, err := q.read(id, "limit_flags")
	return flags&maxReferenced != 0, err
}

// used returns how many bytes a subvolume refers to, or will once what was written to it
// has its blocks: until then they are reserved, and are held against the limit too. That
// is read first, so that what gets its blocks meanwhile is counted, rather twice than not.
func (q *qgroups) used(id uint64) (int64, error) {
	reserved, err := q.read(id, "rsv_data")
	if err != nil {
		return 0, err
	}
	referenced, err := q.read(id, "referenced")
	return referenced + reserved, err
}

// read reads one of the numbers that sysfs has of a group.
func (q *qgroups) read(id uint64, name string) (int64, error) {
	f, err := os.Open(q.live + "/0_" + strconv.FormatUint(id, 10) + "/" + name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}
