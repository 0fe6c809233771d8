// Package pool is the directory that all backends share: its layout, its marker,
// and the renames that bring a volume into being and out of it (package backend
// tells their order).
//
// Everything is done beneath three directories that are held open, by names that
// were checked: no path is walked, no symbolic link followed.
package pool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The directories of a pool.
const (
	VolumesDir   = "volumes"
	ImagesDir    = "images"
	SnapshotsDir = "snapshots"
	BuildDir     = ".tmp"
	TrashDir     = ".trash"
)

// dirMode lets nobody but root list a pool's directories, and everybody through to the
// volume that is his.
const dirMode = 0o711

// snapshotsMode lets nobody but root in: what lies there is nobody's to use before it is
// restored.
const snapshotsMode = 0o700

// Pool is an open pool directory.
type Pool struct {
	path   string
	marker Marker

	root      *os.File
	volumes   *dir
	images    *dir
	claims    *dir
	snapshots *dir
	build     *dir
	trash     *dir

	inOrder bool // see isInOrder

	adopting sync.Mutex // held while a directory is claimed for a volume

	vacatedMu sync.Mutex
	vacated   map[string]struct{} // directories of claims that volumes have left, since the last Settle
}

// dir is a directory of the pool that is held open.
type dir struct{ *os.File }

func (d *dir) fd() int { return int(d.Fd()) }

// Open opens the pool at path, which must carry a marker: see Prepare.
func Open(path string) (_ *Pool, err error) {
	p, err := openMarked(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	for name, mode := range map[string]uint32{ClaimsDir: dirMode, ImagesDir: dirMode, SnapshotsDir: snapshotsMode} {
		if err := addDir(p.root, name, mode); err != nil {
			return nil, state.Errorf(state.NotReady, "pool %s: making %s: %w", path, name, err)
		}
	}
	for name, d := range p.directories() {
		fd, err := openDirAt(int(p.root.Fd()), name)
		if err != nil {
			return nil, state.Errorf(state.NotReady, "pool %s: %s is missing or no directory, though the pool carries a marker: %w", path, name, err)
		}
		*d = &dir{File: os.NewFile(uintptr(fd), filepath.Join(path, name))}
	}
	p.inOrder = isInOrder(p.volumes.File)
	return p, nil
}

// openMarked opens a pool's own directory and reads its marker.
func openMarked(path string) (*Pool, error) {
	root, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	marker, err := readMarker(int(root.Fd()), path)
	if err != nil {
		_ = root.Close() // nothing was written
		return nil, err
	}
	return &Pool{path: path, root: root, marker: marker}, nil
}

// directories are those of the pool that are held open, by their names.
func (p *Pool) directories() map[string]**dir {
	return map[string]**dir{VolumesDir: &p.volumes, ClaimsDir: &p.claims, ImagesDir: &p.images, SnapshotsDir: &p.snapshots, BuildDir: &p.build, TrashDir: &p.trash}
}

// addDir makes, durably, a directory that pools of older drivers lack.
func addDir(root *os.File, name string, mode uint32) error {
	err := unix.Mkdirat(int(root.Fd()), name, mode)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EROFS) {
		return nil // Open tells what is not there
	}
	if err != nil {
		return err
	}
	fd, err := openDirAt(int(root.Fd()), ".") // root is O_PATH, which cannot be synced
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsync(fd)
}

// Close releases what the pool holds open.
func (p *Pool) Close() error {
	var errs []error
	for _, d := range []*dir{p.volumes, p.claims, p.images, p.snapshots, p.build, p.trash} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(append(errs, p.root.Close())...)
}

// Path is where the pool is.
func (p *Pool) Path() string { return p.path }

// Marker is what the pool says of itself.
func (p *Pool) Marker() Marker { return p.marker }

// StillThere returns nil while the pool's path leads to the pool that was opened, and
// otherwise says what is there instead: NotReady, for a disk that was unmounted, say.
// A disk that was unmounted and mounted again is ErrRemounted: what is held open is of
// the mount that was, and cannot be published any more.
func (p *Pool) StillThere() error {
	root, err := openRoot(p.path)
	if err != nil {
		return err
	}
	defer root.Close()
	now, err := readMarker(int(root.Fd()), p.path)
	if err != nil {
		return err
	}
	if now.UUID != p.marker.UUID {
		return state.Errorf(state.NotReady, "pool %s was %s and is %s now: mount the disk it was on", p.path, p.marker.UUID, now.UUID)
	}
	seen, err := mountID(root)
	if err != nil {
		return fmt.Errorf("mount of pool %s: %w", p.path, err)
	}
	// A filesystem that was shut down after its disk had gone tells nothing, not even that.
	if held, err := mountID(p.root); err != nil || held != seen {
		return state.Errorf(state.NotReady, "pool %s: %w", p.path, backend.ErrRemounted)
	}
	return nil
}

func mountID(f *os.File) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	return st.Mnt_id, err
}

// Statfs counts the bytes and inodes of the pool's filesystem.
func (p *Pool) Statfs() (state.Usage, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(p.volumes.fd(), &st); err != nil {
		return state.Usage{}, fmt.Errorf("statfs of pool %s: %w", p.path, err)
	}
	block := int64(st.Frsize)
	return state.Usage{
		TotalBytes: int64(st.Blocks) * block, UsedBytes: int64(st.Blocks-st.Bfree) * block, AvailableBytes: int64(st.Bavail) * block,
		TotalInodes: int64(st.Files), UsedInodes: int64(st.Files - st.Ffree), AvailableInodes: int64(st.Ffree),
	}, nil
}

// FilesystemType returns statfs' f_type of the pool.
func (p *Pool) FilesystemType() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(p.volumes.fd(), &st); err != nil {
		return 0, fmt.Errorf("statfs of pool %s: %w", p.path, err)
	}
	return int64(st.Type), nil
}

// beneath refuses everything that could lead out of a directory: "..", symbolic
// links, other mounts.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

func openAt(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat2(dirfd, name, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: beneath})
		if err == unix.EINTR || err == unix.EAGAIN { // EAGAIN: a rename elsewhere raced the lookup
			continue
		}
		return fd, err
	}
}

// openRecorded opens what can carry a record, a directory or a file, for reading. All else is
// ENOTDIR, or ELOOP, and is not opened: a device may act on that, and its errors tell of the device.
func openRecorded(dirfd int, name string) (int, error) {
	fd, err := openAt(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR, unix.S_IFREG:
		return openAt(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	case unix.S_IFLNK:
		return -1, unix.ELOOP
	}
	return -1, unix.ENOTDIR
}

func openDirAt(dirfd int, name string) (int, error) {
	return openAt(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
}
