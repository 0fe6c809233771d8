package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
)

// linux is the kernel.
type linux struct{}

// mounts parses with moby/sys/mountinfo because it, unlike k8s.io/mount-utils,
// undoes octal escapes and reads lines whose source is empty: one tmpfs that
// somebody mounted from "" must not keep the driver from starting.
func (linux) mounts() ([]*mountinfo.Info, error) { return mountinfo.GetMounts(nil) }

func (linux) realPath(dir string) (string, error) {
	path, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, unix.ENOENT) {
		return dir, nil
	}
	return path, err
}

func (linux) locate(dir string) (string, int, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", 0, fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	st, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return "", 0, err
	}
	path, err := os.Readlink(procPath(fd))
	if err != nil {
		return "", 0, err
	}
	return path, int(st.Mnt_id), nil
}

func (linux) source(f *os.File) (source, error) {
	defer runtime.KeepAlive(f)
	fd := int(f.Fd())
	st, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return source{}, err
	}
	a, err := fdAttrs(fd)
	if err != nil {
		return source{}, err
	}
	return source{id: identityOf(st), kind: kindOf(st), attrs: a}, nil
}

// spot is a place: name in the directory that dir is open on.
type spot struct {
	dir  int
	name string
	made []made // what open made, parents first
}

func (s *spot) look() (found, error) {
	st, err := statx(s.dir, s.name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if errors.Is(err, unix.ENOENT) {
		return found{kind: missing}, nil
	}
	if err != nil {
		return found{}, err
	}
	f := found{
		kind:    kindOf(st),
		id:      identityOf(st),
		mounted: st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
		mountID: int(st.Mnt_id),
	}
	if f.mounted && f.kind == device {
		a, err := attachmentOf(st)
		if err != nil {
			return found{}, err
		}
		f.id = identity{}
		if a != nil {
			f.id = fileIdentity(a.File)
			a.Close()
		}
	}
	return f, nil
}

func kindOf(st *unix.Statx_t) kind {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return directory
	case unix.S_IFREG:
		return regular
	case unix.S_IFBLK:
		return device
	case unix.S_IFLNK:
		return symlink
	}
	return notDirectory
}

// attachmentOf returns the loop device that a node is of; nil if it is of another
// device, or has no file.
func attachmentOf(st *unix.Statx_t) (*loop.Attachment, error) {
	number, ok := loop.NumberOf(st.Rdev_major, st.Rdev_minor)
	if !ok {
		return nil, nil
	}
	a, err := loop.Loop{}.Open(number)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return a, err
}

func (s *spot) attributes() (attrs, error) {
	st, err := statx(s.dir, s.name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err != nil {
		return 0, err
	}
	if kindOf(st) == device {
		// A mount's flags say nothing about writes to a device.
		a, err := attachmentOf(st)
		if a == nil {
			return 0, err
		}
		defer a.Close()
		if a.ReadOnly {
			return unix.MOUNT_ATTR_RDONLY, nil
		}
		return 0, nil
	}
	fd, err := openBeneath(s.dir, s.name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return fdAttrs(fd)
}

func (s *spot) empty() (bool, error) {
	st, err := statx(s.dir, s.name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err != nil {
		return false, err
	}
	if kindOf(st) == regular {
		return st.Size == 0, nil
	}
	fd, err := openBeneath(s.dir, s.name, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return false, err
	}
	f := os.NewFile(uintptr(fd), s.name)
	defer f.Close()
	names, err := f.Readdirnames(1)
	return len(names) == 0, ignoreEOF(err)
}

// attach clones the mount of src into one that nobody sees, whose root is what src
// is open on, gives it its flags and makes it visible. RESOLVE_NO_XDEV makes sure
// that what is mounted on is not itself a mount.
func (s *spot) attach(src *os.File, o Options) error {
	defer runtime.KeepAlive(src)
	onto, err := openBeneath(s.dir, s.name, unix.O_PATH, unix.RESOLVE_NO_XDEV)
	if err != nil {
		return err
	}
	defer unix.Close(onto)
	tree, err := unix.OpenTree(int(src.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree) // which dissolves it if it was not moved
	set, clr := o.change()
	attr := unix.MountAttr{Attr_set: uint64(set), Attr_clr: uint64(clr), Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		if errors.Is(err, unix.EINVAL) && (set|clr)&unix.MOUNT_ATTR_NOSYMFOLLOW != 0 {
			return fmt.Errorf("mount_setattr: [no]symfollow needs Linux 5.14: %w", unix.EOPNOTSUPP)
		}
		return fmt.Errorf("mount_setattr: %w", err)
	}
	if err := unix.MoveMount(tree, "", onto, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// detach names the target through its parent's descriptor: a descriptor of the
// mount itself would be a use of it, and keep it from being unmounted.
func (s *spot) detach() error {
	if err := unix.Unmount(procPath(s.dir)+"/"+s.name, unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	return nil
}

// remove has no way to make sure that a file is still empty at the instant at which it
// is removed; the target's parent is the caller's, not a pod's.
func (s *spot) remove(k kind) error {
	if k != regular {
		if err := unix.Unlinkat(s.dir, s.name, unix.AT_REMOVEDIR); err != nil {
			return fmt.Errorf("rmdir: %w", err)
		}
		return nil
	}
	if empty, err := s.empty(); err != nil || !empty {
		return errors.Join(err, unix.ENOTEMPTY)
	}
	if err := unix.Unlinkat(s.dir, s.name, 0); err != nil {
		return fmt.Errorf("unlink: %w", err)
	}
	return nil
}

func (s *spot) undo() {
	for i := len(s.made) - 1; i >= 0; i-- {
		// What is in use by others by now is not empty, and stays.
		_ = (&spot{dir: s.made[i].dir, name: s.made[i].name}).remove(s.made[i].kind)
	}
}

func (s *spot) close() {
	for _, m := range s.made {
		unix.Close(m.dir)
	}
	unix.Close(s.dir)
}

// statx does not ask the server of a network filesystem: a foreign mount that
// hangs must not hang this driver.
func statx(fd int, name string, flags int) (*unix.Statx_t, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(fd, name, flags|unix.AT_STATX_DONT_SYNC,
			unix.STATX_TYPE|unix.STATX_INO|unix.STATX_SIZE|unix.STATX_MNT_ID, &st)
	})
	if err != nil {
		return nil, fmt.Errorf("statx: %w", err)
	}
	return &st, nil
}

func identityOf(st *unix.Statx_t) identity {
	return identity{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino}
}

func fdAttrs(fd int) (attrs, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return fromStatfs(int64(st.Flags)), nil
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// retry calls again what a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
