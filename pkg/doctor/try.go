package doctor

import (
	"errors"
	"fmt"
	"os"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// scratch makes a file without a name in the directory; nothing is left of it. Where a
// filesystem has none such, it has a name for a moment.
func scratch(dir *os.File) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), "scratch"), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, &os.PathError{Op: "making a file in", Path: dir.Name(), Err: err}
	}
	f, err := os.CreateTemp(dir.Name(), ".hostpath-csi-doctor-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// checkXattrs tries whether files carry records.
func checkXattrs(dir *os.File) Finding {
	const check, remedy = "trusted xattrs", "use ext4, XFS, btrfs or another local filesystem, and run as root of the machine"
	f, err := scratch(dir)
	if err != nil {
		return fail(check, "", "%v", err)
	}
	defer f.Close()
	value := make([]byte, 2048) // as large as a record with long names
	if err := unix.Fsetxattr(int(f.Fd()), "trusted.hostpath-csi.probe", value, 0); err != nil {
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.E2BIG) {
			return warn(check, "make the filesystem with larger blocks: mkfs.ext4 -b 4096", "they hold less than %d bytes (%v): volumes with long names cannot be made", len(value), err)
		}
		return fail(check, remedy, "they cannot be set: %v", err)
	}
	return ok(check, "they can be set")
}

// checkLimits asks whether volumes are held to their sizes.
func checkLimits(dir *os.File, m *mountinfo.Info) Finding {
	const check = "limits"
	const open = "volumes are not held to their sizes"
	switch m.FSType {
	case "xfs", "ext4":
		_, err := quota.Open(dir)
		switch {
		case err == nil:
			return ok(check, "project quota is enforced")
		case state.ReasonOf(err) == state.Unsupported:
			return warn(check, quotaRemedy(m), "%s: project quota is not enforced", open)
		}
		return fail(check, "", "%v", err)
	case "btrfs":
		on, err := btrfs.QuotaOn(dir.Name())
		switch {
		case err != nil:
			return fail(check, "", "%v", err)
		case on:
			return ok(check, "quotas are on")
		}
		return warn(check, "btrfs quota enable --simple "+shellQuote(m.Mountpoint)+"    # btrfs-progs 6.7 and Linux 6.7, or else without --simple", "%s: btrfs quotas are off, or are being counted anew", open)
	}
	return warn(check, "use XFS or ext4 with project quota, or btrfs with quotas", "%s: the driver knows no limits of %s", open, m.FSType)
}

// quotaRemedy is what switches project quota on.
func quotaRemedy(m *mountinfo.Info) string {
	at, source := shellQuote(m.Mountpoint), shellQuote(m.Source)
	if m.Mountpoint == "/" {
		if m.FSType == "xfs" {
			return "boot with rootflags=prjquota"
		}
		return "give the pool a filesystem of its own"
	}
	if m.Root != "/" { // as in a container: here is only a part of it, which nothing else can be mounted as
		return fmt.Sprintf("give the pool a filesystem of its own; or have that of %s mounted on the host with prjquota (ext4: tune2fs -O project -Q prjquota %s first, while it is not mounted)", source, source)
	}
	mountAgain := fmt.Sprintf("mount -o prjquota %s %s", source, at)
	if m.FSType == "ext4" {
		return fmt.Sprintf("umount %s && tune2fs -O project -Q prjquota %s && %s", at, source, mountAgain)
	}
	return fmt.Sprintf("umount %s && %s", at, mountAgain)
}

// checkSharing tries whether copies of files share their blocks.
func checkSharing(dir *os.File, m *mountinfo.Info) Finding {
	const check = "reflink"
	remedy := "use XFS (mkfs.xfs -m reflink=1) or btrfs"
	from, err := scratch(dir)
	if err != nil {
		return fail(check, "", "%v", err)
	}
	defer from.Close()
	to, err := scratch(dir)
	if err != nil {
		return fail(check, "", "%v", err)
	}
	defer to.Close()
	switch err := unix.IoctlFileClone(int(to.Fd()), int(from.Fd())); {
	case err == nil:
		return ok(check, "snapshots and clones share blocks")
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return warn(check, remedy, "%s shares no blocks between files: snapshots and clones copy every byte", m.FSType)
	default:
		return fail(check, "", "FICLONE: %v", err)
	}
}
