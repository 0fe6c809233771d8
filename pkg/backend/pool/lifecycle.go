package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Build makes the volume's directory, or image, in .tmp with mkdir, has fill give it what the
// backend adds (a limit, contents, an owner), writes the record on it and makes all
// that durable. Leavings of an earlier attempt are moved to the trash first. It
// refuses while the volume's place is taken: that is not this volume, which was never placed,
// and Place could not replace it.
func (p *Pool) Build(v state.Volume, mkdir func(dirfd int, name string) error, fill func(dir *os.File) error) error {
	return p.buildItem(p.volume(v), mkdir, fill)
}

// BuildSnapshot is Build for a snapshot.
func (p *Pool) BuildSnapshot(s state.Snapshot, mkdir func(dirfd int, name string) error, fill func(dir *os.File) error) error {
	return p.buildItem(p.snapshot(s), mkdir, fill)
}

func (p *Pool) buildItem(i item, mkdir func(dirfd int, name string) error, fill func(dir *os.File) error) error {
	if err := i.check(); err != nil {
		return err
	}
	_, leave, err := i.enter(true)
	if err != nil {
		return full(fmt.Errorf("making the way to %s: %w", filepath.Join(p.path, i.path), err))
	}
	leave()
	if p.isTaken(i) {
		return p.taken(i)
	}
	name := i.passing
	err = mkdir(p.build.fd(), name)
	if errors.Is(err, unix.EEXIST) {
		if err = p.discard(i); err == nil {
			err = mkdir(p.build.fd(), name)
		}
	}
	if err != nil {
		return full(fmt.Errorf("making %s: %w", filepath.Join(p.path, BuildDir, name), err))
	}
	flags := unix.O_RDONLY | unix.O_DIRECTORY
	if i.file {
		flags = unix.O_RDWR | unix.O_NONBLOCK
	}
	fd, err := openAt(p.build.fd(), name, flags|unix.O_NOFOLLOW)
	if err != nil {
		return fmt.Errorf("opening %s: %w", filepath.Join(p.path, BuildDir, name), err)
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	crash.Step(crash.CreateMade)
	if err := fill(d); err != nil {
		return full(err)
	}
	if err := writeRecord(d, i); err != nil {
		return full(err)
	}
	crash.Step(crash.CreateLabelled)
	// Each call syncs for itself: a journal makes one commit of all that wait for it
	// at a time. The record was written last, so where changes become durable in
	// order, the directory's entry in .tmp does with it; an fsync of .tmp would cost
	// another flush of the disk, or wait for the entries that others make.
	synced := []*os.File{d}
	if !p.inOrder {
		synced = append(synced, p.build.File)
	}
	for _, f := range synced {
		if err := f.Sync(); err != nil {
			return full(fmt.Errorf("syncing %s: %w", f.Name(), err))
		}
	}
	crash.Step(crash.CreateSynced)
	return nil
}

// Settle makes every rename so far durable.
func (p *Pool) Settle(context.Context) error {
	// Into before out of: a directory that is in both is found again, one that is
	// in neither is not. In order, a rename is one change.
	dirs := []*dir{p.trash, p.volumes, p.claims, p.images, p.snapshots, p.build}
	if p.inOrder {
		dirs = dirs[:1]
	}
	for _, d := range dirs {
		if err := d.Sync(); err != nil {
			return fmt.Errorf("syncing %s: %w", d.Name(), err)
		}
	}
	if err := p.syncVacated(); err != nil {
		return err
	}
	crash.Step(crash.DeleteSynced)
	return nil
}

// Place moves what Build made to its place and returns that.
func (p *Pool) Place(v state.Volume) (string, error) { return p.place(p.volume(v)) }

// PlaceSnapshot moves what BuildSnapshot made to snapshots/ID and returns that.
func (p *Pool) PlaceSnapshot(s state.Snapshot) (string, error) { return p.place(p.snapshot(s)) }

func (p *Pool) place(i item) (string, error) {
	if err := i.check(); err != nil {
		return "", err
	}
	if i.adopted != "" {
		return p.placeAdopted(i)
	}
	err := p.moveHome(p.build, i.passing, i)
	switch {
	case err == nil:
		return i.path, nil
	case errors.Is(err, unix.ENOENT) && p.isTaken(i):
		return i.path, nil
	case errors.Is(err, unix.ENOENT):
		return "", state.Errorf(state.Lost, "%s is in neither %s nor %s of pool %s", i, filepath.Dir(i.path), BuildDir, p.path)
	case errors.Is(err, unix.EEXIST):
		return "", p.taken(i)
	}
	return "", full(fmt.Errorf("placing %s: %w", i, err))
}

func (p *Pool) taken(i item) error {
	return state.Errorf(state.Defect, "%s of pool %s already holds a %s that no record speaks of: move it away", filepath.Dir(i.path), p.path, i.id)
}

// Relabel writes the record on the volume's directory again, durably.
func (p *Pool) Relabel(v state.Volume) error { return p.relabel(p.volume(v)) }

// RelabelSnapshot is Relabel for a snapshot.
func (p *Pool) RelabelSnapshot(s state.Snapshot) error { return p.relabel(p.snapshot(s)) }

func (p *Pool) relabel(i item) error {
	f, err := p.open(i, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeRecord(f, i); err != nil {
		return full(err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", i, err)
	}
	return nil
}

// Discard moves the volume into the trash from wherever it is; there may be
// nothing of it. What has its place, and is not this volume's, is left alone:
// see isPlaced.
func (p *Pool) Discard(v state.Volume) error {
	if IsUnanswered(v) {
		return p.Disown(v, func(*os.File) error { return nil })
	}
	return p.discard(p.volume(v))
}

// DiscardSnapshot is Discard for a snapshot.
func (p *Pool) DiscardSnapshot(s state.Snapshot) error { return p.discard(p.snapshot(s)) }

func (p *Pool) discard(i item) error {
	if err := i.check(); err != nil {
		return err
	}
	adopted, err := p.isAdopted(i)
	if err != nil {
		return err
	}
	if adopted && i.adopted != i.path {
		if _, err := p.placeAdopted(i); err != nil { // a crash, or an error, has kept it from its place
			return err
		}
	}
	if err := p.discardFrom(p.build, i.passing, i); err != nil {
		return err
	}
	home, leave, err := i.enter(false)
	if err == nil {
		if p.isPlaced(i) {
			err = p.discardFrom(home, i.name, i)
		}
		leave()
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return full(err)
	}
	p.vacate(i)
	return nil
}

// discardFrom moves what is called name in a directory into the trash, if it is there.
func (p *Pool) discardFrom(from *dir, name string, i item) error {
	var err error
	if i.fate != "" {
		err = doom(from.fd(), name, i)
	}
	if err == nil {
		err = p.toTrash(from.fd(), name, i.passing)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return full(fmt.Errorf("moving %s to %s: %w", i, TrashDir, err))
	}
	crash.Step(crash.DeleteRenamed)
	return nil
}

// toTrash renames an entry into the trash, under another name if there is something
// of that name already, and even if a pod made it immutable.
func (p *Pool) toTrash(dirfd int, name, as string) error {
	to := as
	for n := 1; ; n++ {
		err := unix.Renameat2(dirfd, name, p.trash.fd(), to, unix.RENAME_NOREPLACE)
		switch {
		case errors.Is(err, unix.EEXIST):
			to = as + ".again" + strconv.Itoa(n)
		case errors.Is(err, unix.EPERM) && makeMutable(dirfd, name):
		default:
			return err
		}
	}
}

// isPlaced tells whether what has the item's place is the item: its record has the same
// UID. One without a readable record (brought back from a copy, say) is the item's if that
// was ever Ready; before that nothing is placed, and what lies there is somebody
// else's.
func (p *Pool) isPlaced(i item) bool {
	var there struct{ state.Meta }
	if err := p.readRecord(i.path, &there); err != nil || !state.ValidID(there.ID) || !state.ValidID(there.UID) {
		return i.phase == state.Ready || i.phase == state.Deleting
	}
	return there.UID == i.uid
}

// Open returns the volume's directory (or image) with O_PATH.
func (p *Pool) Open(v state.Volume) (*os.File, error) { return p.open(p.volume(v), unix.O_PATH) }

// OpenSnapshot returns the snapshot's directory (or image) with O_PATH.
func (p *Pool) OpenSnapshot(s state.Snapshot) (*os.File, error) {
	return p.open(p.snapshot(s), unix.O_PATH)
}

// OpenDirectory returns the volume's directory, open for reading.
func (p *Pool) OpenDirectory(v state.Volume) (*os.File, error) {
	return p.open(p.volume(v), unix.O_RDONLY|unix.O_DIRECTORY)
}

// open must not be given O_NOFOLLOW: with O_PATH, that opens the symbolic link itself,
// and openat2 refuses links without it.
func (p *Pool) open(i item, flags int) (*os.File, error) {
	if err := i.check(); err != nil {
		return nil, err
	}
	// It may be moved from .tmp to its place between two looks, but not back: looking
	// in its place first and last finds it. In the midst of a look, too:
	// then the kernel sees what was found outside the directory it was looked for in.
	var err error
	for _, at := range []struct {
		*dir
		name string
	}{{i.home, i.inHome()}, {p.build, i.passing}, {i.home, i.inHome()}} {
		var fd int
		if fd, err = openAt(at.fd(), at.name, flags); err == nil {
			return os.NewFile(uintptr(fd), filepath.Join(at.Name(), at.name)), nil
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EXDEV) {
			return nil, state.Errorf(state.Lost, "opening %s in %s: %w", i, at.Name(), err)
		}
	}
	adopted, unread := p.isAdopted(i)
	if unread != nil {
		return nil, unread
	}
	if adopted { // about to be placed
		if fd, err := openAt(int(p.root.Fd()), i.adopted, flags); err == nil {
			return os.NewFile(uintptr(fd), filepath.Join(p.path, i.adopted)), nil
		}
	}
	if errors.Is(err, unix.EXDEV) {
		return nil, state.Errorf(state.Lost, "opening %s in %s: another filesystem is mounted in its place: %w", i, i.home.Name(), err)
	}
	return nil, state.Errorf(state.Lost, "%s is not in pool %s: its directory was removed behind the driver's back", i, p.path)
}

func (p *Pool) has(d *dir, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// full gives errors that mean "not on this filesystem, now" their Reason, if they
// have none.
func full(err error) error {
	if known := (*state.Error)(nil); errors.As(err, &known) {
		return err
	}
	if errors.Is(err, unix.EROFS) {
		return state.Errorf(state.NotReady, "the pool's filesystem is read-only (the kernel's log may tell why): %w", err)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EMLINK) {
		return state.Errorf(state.NoSpace, "the pool's filesystem is full: %w", err)
	}
	return err
}

// maxRecordBytes keeps a record within what ext4 can store beside an inode of 256
// bytes in one block of 4 KiB, other attributes included.
const maxRecordBytes = 3 << 10

func writeRecord(f *os.File, i item) error {
	b, err := json.Marshal(i.record)
	if err != nil {
		return fmt.Errorf("record of %s: %w", i, err)
	}
	if len(b) > maxRecordBytes {
		return state.Errorf(state.Invalid, "the record of %s takes %d bytes, more than %d: use shorter names and parameters", i, len(b), maxRecordBytes)
	}
	err = unix.Fsetxattr(int(f.Fd()), backend.RecordXattr, b, 0)
	if errors.Is(err, unix.ENOSPC) && hasRoom(f) {
		// ext4 keeps an attribute in one block, and says this of one that is too small.
		return state.Errorf(state.Unsupported, "the record of %s takes %d bytes, more than this filesystem stores with a directory: "+
			"make it with larger blocks (mkfs.ext4 -b 4096), or use shorter names: %w", i, len(b), err)
	}
	if err != nil {
		return fmt.Errorf("writing the record on %s: %w", i, err)
	}
	return nil
}

// hasRoom tells whether the filesystem has blocks to give.
func hasRoom(f *os.File) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && st.Bavail > 16
}

// ReadRecord returns the record kept with a path of the pool ("volumes/x").
func (p *Pool) ReadRecord(path string) (v state.Volume, err error) {
	if err := p.readRecord(path, &v); err != nil {
		return v, err
	}
	if err := p.volume(v).check(); err != nil {
		return v, state.Errorf(state.Corrupt, "record of %s: %w", path, err)
	}
	return v, nil
}

// ReadSnapshotRecord returns the record kept with a path of the pool ("snapshots/x").
func (p *Pool) ReadSnapshotRecord(path string) (s state.Snapshot, err error) {
	if err := p.readRecord(path, &s); err != nil {
		return s, err
	}
	if err := p.snapshot(s).check(); err != nil {
		return s, state.Errorf(state.Corrupt, "record of %s: %w", path, err)
	}
	return s, nil
}

func (p *Pool) readRecord(path string, into any) error {
	fd, err := openRecorded(int(p.root.Fd()), path)
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer unix.Close(fd)
	b := make([]byte, maxRecordBytes)
	n, err := unix.Fgetxattr(fd, backend.RecordXattr, b)
	if errors.Is(err, unix.ERANGE) { // none of ours; let the decoder say what it is
		b = make([]byte, 64<<10) // the kernel's limit for an attribute
		n, err = unix.Fgetxattr(fd, backend.RecordXattr, b)
	}
	if errors.Is(err, unix.ENODATA) {
		return state.Errorf(state.NotFound, "%s carries no record", path)
	}
	if err == nil {
		err = json.Unmarshal(b[:n], into)
	}
	if err != nil {
		return state.Errorf(state.Corrupt, "record of %s: %w", path, err)
	}
	return nil
}
