package pool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// MarkerName is the file that makes a directory a pool. Where it is missing, the
// pool's disk is not mounted.
const MarkerName = ".hostpath-csi.json"

// Layout is the version of the disk layout that this driver reads and writes.
const Layout = 1

// Marker is what a pool says of itself.
type Marker struct {
	// UUID names the pool, wherever it is mounted.
	UUID string `json:"uuid"`
	// Layout is the version of the disk layout.
	Layout int `json:"layout"`
	// Store is the UUID of the store that the pool's volumes are recorded in.
	Store string `json:"store"`
	// CreatedAt is when the directory became a pool.
	CreatedAt time.Time `json:"createdAt"`
}

// ErrNoMarker means that a directory is not, or not now, a pool.
var ErrNoMarker = errors.New("no " + MarkerName)

// ReadMarker reads the marker of the pool at path.
func ReadMarker(path string) (Marker, error) {
	root, err := openRoot(path)
	if err != nil {
		return Marker{}, err
	}
	defer root.Close()
	return readMarker(int(root.Fd()), path)
}

func openRoot(path string) (*os.File, error) {
	root, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, state.Errorf(state.NotReady, "pool %s: %w: there is no such directory", path, ErrNoMarker)
	case err != nil:
		return nil, state.Errorf(state.NotReady, "pool directory: %w", err)
	}
	return root, nil
}

func readMarker(root int, path string) (Marker, error) {
	var m Marker
	fd, err := openAt(root, MarkerName, unix.O_RDONLY|unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return m, state.Errorf(state.NotReady, "pool %s: %w", path, ErrNoMarker)
	}
	if err != nil {
		return m, state.Errorf(state.NotReady, "pool %s: %s: %w", path, MarkerName, err)
	}
	f := os.NewFile(uintptr(fd), MarkerName)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	switch {
	case err != nil:
		return m, state.Errorf(state.NotReady, "pool %s: %s cannot be read: %w", path, MarkerName, err)
	case m.Layout > Layout:
		return m, state.Errorf(state.Unsupported, "pool %s has disk layout %d; this driver knows %d: use a newer driver", path, m.Layout, Layout)
	case m.UUID == "" || m.Layout < 1:
		return m, state.Errorf(state.NotReady, "pool %s: %s names no pool", path, MarkerName)
	}
	return m, nil
}

// Prepare makes the directory at path, which need not exist, a pool of the given
// store. It refuses a directory that holds what only a pool would: then the marker
// was lost, and with it the knowledge whose volumes these are.
//
// Durable steps: the pool's directories, then the marker under another name,
// fsync, rename, fsync of the pool and of its parent. A crash in between leaves
// empty directories, which the next attempt takes.
func Prepare(path, store string) error {
	if err := os.MkdirAll(path, 0o711); err != nil {
		return state.Errorf(state.NotReady, "making pool directory: %w", err)
	}
	root, err := os.Open(path)
	if err != nil {
		return state.Errorf(state.NotReady, "pool directory: %w", err)
	}
	defer root.Close()
	if err := checkXattrs(root); err != nil {
		return err
	}
	for _, name := range []string{VolumesDir, ClaimsDir, ImagesDir, SnapshotsDir, BuildDir, TrashDir} {
		mode := uint32(dirMode)
		if name == SnapshotsDir {
			mode = snapshotsMode
		}
		if err := unix.Mkdirat(int(root.Fd()), name, mode); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("making %s of pool %s: %w", name, path, err)
		}
		names, err := namesIn(int(root.Fd()), name)
		if err != nil {
			return state.Errorf(state.NotReady, "pool %s: %s: %w", path, name, err)
		}
		if len(names) > 0 {
			return state.Errorf(state.NotReady, "pool %s has no %s, but %s in it is not empty: "+
				"bring the marker back, or move %s away if nothing in it is of use", path, MarkerName, name, name)
		}
	}
	m := Marker{UUID: uuid.NewString(), Layout: Layout, Store: store, CreatedAt: time.Now().UTC().Truncate(time.Second)}
	if err := writeMarker(root, m); err != nil {
		return fmt.Errorf("marking pool %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// Rebind makes the pool at path one of another store, which now records its volumes.
func Rebind(path, store string) error {
	m, err := ReadMarker(path)
	if err != nil {
		return err
	}
	root, err := os.Open(path)
	if err != nil {
		return err
	}
	defer root.Close()
	m.Store = store
	return writeMarker(root, m)
}

func writeMarker(root *os.File, m Marker) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	const temporary = MarkerName + ".new"
	fd, err := unix.Openat(int(root.Fd()), temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), temporary)
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	crash.Step(crash.PoolMarked)
	if err := unix.Renameat(int(root.Fd()), temporary, int(root.Fd()), MarkerName); err != nil {
		return err
	}
	return root.Sync()
}

// checkXattrs tells early, and with a remedy, that a filesystem cannot carry records.
func checkXattrs(root *os.File) error {
	const probe = "trusted.hostpath-csi.probe"
	err := unix.Fsetxattr(int(root.Fd()), probe, []byte("1"), 0)
	if err == nil {
		err = unix.Fremovexattr(int(root.Fd()), probe)
	}
	if err != nil {
		return state.Errorf(state.Unsupported, "pool %s: its filesystem takes no trusted.* extended attributes: %w "+
			"(use ext4, XFS, btrfs or another local filesystem, and run as root)", root.Name(), err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
