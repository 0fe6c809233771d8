// Package filesystem gives tests filesystems of their own: small ones, full ones,
// some with quota, on loop devices. It needs root.
package filesystem

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// An Option says more about a filesystem.
type Option func(*options)

type options struct {
	mkfs  []string
	flags uintptr
	data  []string
}

// MkfsArgs gives the mkfs program further arguments.
func MkfsArgs(args ...string) Option { return func(o *options) { o.mkfs = append(o.mkfs, args...) } }

// MountOptions gives mount(2) options of the filesystem, such as "prjquota".
func MountOptions(data ...string) Option {
	return func(o *options) { o.data = append(o.data, data...) }
}

// MountFlags gives mount(2) flags, such as unix.MS_RDONLY.
func MountFlags(flags uintptr) Option { return func(o *options) { o.flags |= flags } }

// makers are the programs that make filesystems, and the packages they come in.
var makers = map[string]struct {
	program, pkg string
	args         []string
}{
	"ext4":  {"mkfs.ext4", "e2fsprogs", []string{"-q", "-F"}},
	"xfs":   {"mkfs.xfs", "xfsprogs", []string{"-q", "-f"}},
	"btrfs": {"mkfs.btrfs", "btrfs-progs", []string{"-q", "-f"}},
}

// New makes a filesystem of size bytes, mounts it and returns where. Both end with
// the test. The kinds are "ext4", "xfs" and "btrfs", which take no more of the disk
// than is written to them, and those of the kernel's memory, such as "tmpfs".
func New(t testing.TB, kind string, size int64, opts ...Option) (mountpoint string) {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	dir := t.TempDir()
	mountpoint = filepath.Join(dir, "mnt")
	if err := os.Mkdir(mountpoint, 0o755); err != nil {
		t.Fatal(err)
	}
	maker, onDisk := makers[kind]
	if !onDisk {
		if kind == "tmpfs" {
			o.data = append(o.data, "size="+strconv.FormatInt(size, 10))
		}
		Mount(t, kind, mountpoint, kind, o.flags, o.data...)
		return mountpoint
	}
	image := filepath.Join(dir, "image")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, size)); err != nil {
		t.Fatal(err)
	}
	args := append(append(append([]string{}, maker.args...), o.mkfs...), image)
	if out, err := exec.Command(find(t, maker.program, maker.pkg), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", maker.program, strings.Join(args, " "), err, out)
	}
	device, err := Attach(image)
	if err != nil {
		t.Fatal(err)
	}
	// The device frees itself when it is closed and not mounted (any more). That
	// it did is checked at the end, for the next test needs it.
	t.Cleanup(func() {
		if err := detach(device.Name(), image); err != nil {
			t.Error(err)
		}
	})
	defer device.Close()
	Mount(t, device.Name(), mountpoint, kind, o.flags, o.data...)
	return mountpoint
}

// find returns the path of a program, which may be one for root.
func find(t testing.TB, program, pkg string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: install the package %s", program, pkg)
	return ""
}

// Mount mounts until the end of the test.
func Mount(t testing.TB, source, target, fstype string, flags uintptr, data ...string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, strings.Join(data, ",")); err != nil {
		t.Fatalf("mounting %s at %s as %q with %q: %v (this needs root)", source, target, fstype, data, err)
	}
	t.Cleanup(func() {
		switch err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW); {
		case err == nil, errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // the test did it
		default:
			t.Errorf("unmounting %s: %v (something is left open there)", target, err)
			_ = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
	})
}

// Remount changes the flags of a filesystem, such as unix.MS_RDONLY.
func Remount(t testing.TB, mountpoint string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", mountpoint, "", unix.MS_REMOUNT|flags, ""); err != nil {
		t.Fatalf("remounting %s with flags %#x: %v", mountpoint, flags, err)
	}
}
