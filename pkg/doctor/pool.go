package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/disk"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Pool is a pool as the driver is told of it.
type Pool struct {
	Name, Path string
	// RequireMountPoint refuses the pool while nothing is mounted at Path.
	RequireMountPoint bool
	// Disk is what the pool has a filesystem of its own on; nil: none.
	Disk *disk.Disk
}

// Check looks at the pool, or at the place where it is to be made.
func (p Pool) Check() []Finding {
	findings := p.check()
	for i := range findings {
		findings[i].About = "pool " + p.Name
	}
	return findings
}

func (p Pool) check() []Finding {
	var findings []Finding
	if p.Disk != nil {
		mounted := false
		if findings, mounted = p.checkDisk(); !mounted {
			return findings
		}
	}
	directory, at := p.checkDirectory()
	findings = append(findings, directory)
	if at == "" {
		return findings
	}
	dir, err := os.Open(at)
	if err != nil {
		return append(findings, fail("directory", "", "%v", err))
	}
	defer dir.Close()
	m, err := mountOf(at)
	if err != nil {
		return append(findings, fail("filesystem", "", "%v", err))
	}
	if p.RequireMountPoint && m.Mountpoint != p.Path {
		findings = append(findings, fail("mount point", "mount the pool's disk at "+shellQuote(p.Path), "nothing is mounted at %s, and the pool has requireMountPoint", state.Quote(p.Path)))
	}
	filesystem := checkFilesystem(dir, m)
	findings = append(findings, filesystem, checkRoom(dir))
	if filesystem.Verdict == Failure { // nothing can be tried on it
		return findings
	}
	return append(findings, checkXattrs(dir), checkLimits(dir, m), checkSharing(dir, m))
}

// checkDirectory looks at the pool's directory and returns it or, if it is to be made,
// the one above that is there; "" if it cannot be.
func (p Pool) checkDirectory() (_ Finding, at string) {
	const check = "directory"
	real, err := filepath.EvalSymlinks(p.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for at = filepath.Dir(p.Path); ; at = filepath.Dir(at) {
			if _, err := os.Stat(at); err == nil || at == "/" {
				break
			}
		}
		if real, err := filepath.EvalSymlinks(at); err != nil || real != at {
			return fail(check, "name the directory itself", "%s leads through a symbolic link", state.Quote(at)), ""
		}
		return ok(check, "%s is not there yet: the driver makes it at its first start", state.Quote(p.Path)), at
	case err != nil:
		return fail(check, "", "%v", err), ""
	case real != p.Path:
		return fail(check, "name the directory itself: "+shellQuote(real), "%s leads through a symbolic link", state.Quote(p.Path)), ""
	}
	m, err := pool.ReadMarker(p.Path)
	switch {
	case err == nil:
		return ok(check, "%s is pool %s", state.Quote(p.Path), m.UUID), p.Path
	case !errors.Is(err, pool.ErrNoMarker):
		return fail(check, "", "%v", err), ""
	}
	return p.unmarked(err)
}

// unmarked tells of a directory that may become a pool, unless it was one.
func (p Pool) unmarked(missing error) (Finding, string) {
	const check = "directory"
	for _, name := range []string{pool.VolumesDir, pool.ClaimsDir, pool.ImagesDir, pool.SnapshotsDir} {
		if entries, err := os.ReadDir(filepath.Join(p.Path, name)); err == nil && len(entries) > 0 {
			return fail(check, "bring "+pool.MarkerName+" back, or move "+shellQuote(filepath.Join(p.Path, name))+" away if nothing in it is of use",
				"%v, but %s in it is not empty", missing, name), p.Path
		}
	}
	return ok(check, "%s is no pool yet: the driver makes it one at its first start", state.Quote(p.Path)), p.Path
}

func checkFilesystem(dir *os.File, m *mountinfo.Info) Finding {
	const check = "filesystem"
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return fail(check, "", "statfs: %v", err)
	}
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		return fail(check, "dmesg tells why; mount -o remount,rw "+shellQuote(m.Mountpoint), "%s at %s is read-only", m.FSType, state.Quote(m.Mountpoint))
	case st.Flags&unix.ST_NOEXEC != 0:
		return warn(check, "mount -o remount,exec "+shellQuote(m.Mountpoint), "%s at %s is mounted with noexec: pods can run no programs from their volumes", m.FSType, state.Quote(m.Mountpoint))
	}
	switch m.FSType {
	case "tmpfs", "ramfs", "overlay":
		return warn(check, "use a disk with XFS, ext4 or btrfs", "%s at %s: what is written there does not outlive the machine, or the container", m.FSType, state.Quote(m.Mountpoint))
	}
	return ok(check, "%s of %s at %s", m.FSType, state.Quote(m.Source), state.Quote(m.Mountpoint))
}

// checkRoom looks how much is free.
func checkRoom(dir *os.File) Finding {
	const check = "room"
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return fail(check, "", "statfs: %v", err)
	}
	free, total := st.Bavail*uint64(st.Frsize), st.Blocks*uint64(st.Frsize)
	const remedy = "hostpath-csi du tells what volumes take; enlarge the filesystem, or move what else lies on it"
	switch {
	case total > 0 && free < total/20:
		return warn(check, remedy, "%s of %s are free", humanize.IBytes(free), humanize.IBytes(total))
	case st.Files > 0 && st.Ffree < st.Files/20:
		return warn(check, remedy, "%d of %d inodes are free", st.Ffree, st.Files)
	}
	return ok(check, "%s of %s are free", humanize.IBytes(free), humanize.IBytes(total))
}
