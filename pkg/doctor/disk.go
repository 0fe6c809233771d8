package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// checkDisk looks at what the pool has a filesystem of its own on, and tells whether that
// is mounted: what is at the pool's path otherwise is not the pool's.
func (p Pool) checkDisk() (findings []Finding, mounted bool) {
	if m, err := mountOf(p.Path); err == nil && m.Mountpoint == p.Path {
		return []Finding{ok("disk", "%s is mounted", p.Disk)}, true
	}
	findings = append(findings, checkMaker(p.Disk.Filesystem))
	if p.Disk.Device != "" {
		return append(findings, checkDevice(p.Disk.Device)), false
	}
	return append(findings, checkImage(p.Disk)), false
}

// checkMaker looks for the program that is run once, at the pool's first start.
func checkMaker(filesystem string) Finding {
	program := "mkfs." + filesystem
	path, err := disk.Maker(filesystem)
	if err != nil {
		return fail(program, "apt-get install xfsprogs btrfs-progs, or what your distribution calls them", "%v", err)
	}
	return ok(program, "%s", path)
}

func checkDevice(path string) Finding {
	const check = "disk"
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return fail(check, "lsblk lists the devices there are", "%v", err)
	case st.Mode()&fs.ModeDevice == 0 || st.Mode()&fs.ModeCharDevice != 0:
		return fail(check, "lsblk lists the devices there are", "%s is no block device", state.Quote(path))
	}
	return ok(check, "device %s is there; the driver mounts it, and formats it if it is blank", state.Quote(path))
}

func checkImage(d *disk.Disk) Finding {
	const check = "disk"
	st, err := os.Stat(d.Image)
	switch {
	case err == nil && st.Mode().IsRegular():
		return ok(check, "image %s of %s is there; the driver mounts it", state.Quote(d.Image), humanize.IBytes(uint64(st.Size())))
	case err == nil:
		return fail(check, "name another path, or move it away", "%s is no file", state.Quote(d.Image))
	case !errors.Is(err, fs.ErrNotExist):
		return fail(check, "", "%v", err)
	}
	dir := filepath.Dir(d.Image)
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err != nil {
		return fail(check, "", "statfs of %s: %v", state.Quote(dir), err)
	}
	free, size := room.Bavail*uint64(room.Frsize), uint64(max(0, d.SizeBytes))
	if free < size {
		return warn(check, "give it a smaller size, or make room", "image %s is to have %s, and %s has %s free", state.Quote(d.Image), humanize.IBytes(size), state.Quote(dir), humanize.IBytes(free))
	}
	return ok(check, "image %s is not there yet: the driver makes it, of %s, at its first start", state.Quote(d.Image), humanize.IBytes(size))
}
