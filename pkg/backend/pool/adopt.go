package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// CheckAdoptable returns nil if a path of the pool may be that of a directory which becomes
// a volume: anything that the pool does not use itself, what lies where volumes do, and what is
// in the archive.
func CheckAdoptable(at string) error {
	if at == "" || path.IsAbs(at) || path.Clean(at) != at || at == "." || at == ".." || strings.HasPrefix(at, "../") {
		return state.Errorf(state.Invalid, "adopt is %s; it takes the path of a directory in the pool, relative to that, without '.' and '..'", state.Quote(at))
	}
	first, rest, _ := strings.Cut(at, "/")
	switch first {
	case VolumesDir:
		if rest != "" && !strings.Contains(rest, "/") {
			return nil
		}
	case ClaimsDir:
		if _, ok := state.PathID(rest); ok {
			return nil
		}
	case ArchiveDir:
		if _, ok := ArchivedName(at); ok {
			return nil
		}
	case ImagesDir, SnapshotsDir, BuildDir, TrashDir, MarkerName:
	default:
		return nil
	}
	return state.Errorf(state.Invalid, "adopt is %s; of what the pool uses itself, it takes only what lies in the place of a volume, %s/NAME, and what is kept, %s/NAME", state.Quote(at), VolumesDir, ArchiveDir)
}

// Adopt makes the directory at Spec.Adopt the volume's own, where it is: see package
// backend. own returns nil if it may be taken from whom its record, if it has one,
// names, or, in the archive, from the volume that it was to become; that is asked and the
// volume's own record, or name, written by one call at a time. suits
// tells whether the backend can do anything with it, before it is touched, and hold gives it
// what the backend adds, a limit.
func (p *Pool) Adopt(ctx context.Context, v state.Volume, own func(there *state.Meta) error, suits, hold func(d *os.File) error) error {
	i := p.volume(v)
	if err := i.check(); err != nil {
		return err
	}
	if name, ok := ArchivedName(i.adopted); ok {
		return p.adoptArchived(name, i, own, suits, hold)
	}
	if i.file {
		return state.Errorf(state.Unsupported, "%s is a block volume, and cannot be made of a directory", i)
	}
	d, err := p.openAdopted(i)
	if err != nil {
		return err
	}
	defer d.Close()
	if i.adopted != i.path && p.isTaken(i) {
		return p.taken(i)
	}
	if err := suits(d); err != nil {
		return err
	}
	if err := p.label(d, i, own); err != nil {
		return full(err)
	}
	crash.Step(crash.AdoptLabelled)
	w := counter{ctx: ctx}
	again, err := unix.FcntlInt(d.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := w.dir(os.NewFile(uintptr(again), d.Name()), 0); err != nil {
		return fmt.Errorf("counting what is in %s: %w", i.adopted, err)
	}
	if w.Bytes > v.Spec.CapacityBytes {
		return state.Errorf(state.OutOfRange, "%s takes %s (%d bytes) already, and volume %s is to have %d: ask for that, or more",
			state.Quote(i.adopted), humanize.IBytes(uint64(w.Bytes)), w.Bytes, v.ID, v.Spec.CapacityBytes)
	}
	return p.holdAdopted(d, i, hold)
}

// holdAdopted has hold give what is adopted what the backend adds, durably.
func (p *Pool) holdAdopted(d *os.File, i item, hold func(d *os.File) error) error {
	if err := hold(d); err != nil {
		return full(err)
	}
	crash.Step(crash.AdoptHeld)
	// Each file has changed that is one of a project now.
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("syncing %s: %w", i.adopted, err)
	}
	return nil
}

// openAdopted opens the directory that is to be the volume's, for reading.
func (p *Pool) openAdopted(i item) (*os.File, error) {
	if err := CheckAdoptable(i.adopted); err != nil {
		return nil, err
	}
	fd, err := openDirAt(int(p.root.Fd()), i.adopted)
	wrong := func(what string) error {
		return state.Errorf(state.Invalid, "adopt is %s; %s", state.Quote(i.adopted), what)
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, wrong("there is no such directory in the pool")
	case errors.Is(err, unix.ENOTDIR):
		return nil, wrong("that is no directory")
	case errors.Is(err, unix.ELOOP):
		return nil, wrong("that is, or leads through, a symbolic link: name the directory itself")
	case errors.Is(err, unix.EXDEV):
		return nil, wrong("another filesystem is mounted there: a volume is one of the pool's own")
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", i.adopted, err)
	}
	return os.NewFile(uintptr(fd), i.adopted), nil
}

// label writes the volume's record on what it adopts, durably.
func (p *Pool) label(d *os.File, i item, own func(there *state.Meta) error) error {
	p.adopting.Lock()
	defer p.adopting.Unlock()
	var there struct{ state.Meta }
	known := &there.Meta
	if err := p.readRecord(i.adopted, &there); err != nil || !state.ValidID(there.ID) || !state.ValidID(there.UID) {
		known = nil
	}
	if known == nil || known.UID != i.uid {
		if err := own(known); err != nil {
			return err
		}
	}
	if err := writeRecord(d, i); err != nil {
		return err
	}
	return d.Sync()
}

// isAdopted tells whether what the volume adopts is the volume's, and not yet in its place. Not
// being able to read is an error: whoever took it for a no would end a record and leave its
// directory, or call a volume lost.
func (p *Pool) isAdopted(i item) (bool, error) {
	if CheckAdoptable(i.adopted) != nil {
		return false, nil
	}
	if name, ok := ArchivedName(i.adopted); ok {
		return p.isPromised(name, i)
	}
	var there struct{ state.Meta }
	if err := p.readRecord(i.adopted, &there); err != nil {
		return false, unlessAbsent(err)
	}
	return there.UID == i.uid, nil
}

// unlessAbsent returns nil if an error of reading a record means that there is nothing, or
// nothing of ours; else the error.
func unlessAbsent(err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EXDEV):
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENAMETOOLONG): // no file has such a name
		return nil
	case errors.As(err, &errno):
		return err
	}
	return nil
}

// placeAdopted moves an adopted directory to the volume's place, which may be where it is.
func (p *Pool) placeAdopted(i item) (string, error) {
	adopted, err := p.isAdopted(i)
	if err != nil {
		return "", fmt.Errorf("placing %s: %w", i, err)
	}
	if i.adopted == i.path {
		if adopted {
			return i.path, nil
		}
		return "", state.Errorf(state.Lost, "%s is not in pool %s any more", i, p.path)
	}
	if !adopted {
		if p.isPlaced(i) && p.isTaken(i) {
			return i.path, nil
		}
		return "", state.Errorf(state.Lost, "%s is neither at %s nor at %s of pool %s", i, i.path, i.adopted, p.path)
	}
	if name, ok := ArchivedName(i.adopted); ok {
		if err := p.beginLife(name, i); err != nil {
			return "", full(fmt.Errorf("placing %s: %w", i, err))
		}
	}
	above, name := path.Split(i.adopted)
	fd, err := openDirAt(int(p.root.Fd()), path.Join(".", above))
	if err != nil {
		return "", fmt.Errorf("placing %s: %w", i, err)
	}
	from := &dir{File: os.NewFile(uintptr(fd), above)}
	defer from.Close()
	err = p.moveHome(from, name, i)
	if errors.Is(err, unix.EEXIST) {
		return "", p.taken(i)
	}
	if err != nil {
		return "", full(fmt.Errorf("placing %s: %w", i, err))
	}
	return i.path, nil
}

// Disown takes the record off a directory whose adoption did not come to its end, once
// release has taken off it what hold gave it. The directory stays as it is, and what was in the
// archive is in there still.
func (p *Pool) Disown(v state.Volume, release func(d *os.File) error) error {
	i := p.volume(v)
	if err := i.check(); err != nil {
		return err
	}
	adopted, err := p.isAdopted(i)
	if err != nil || !adopted {
		return err // or it never came so far
	}
	if name, ok := ArchivedName(i.adopted); ok {
		return p.breakPromise(name, i, release)
	}
	d, err := p.openAdopted(i)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := release(d); err != nil {
		return err
	}
	if err := unix.Fremovexattr(int(d.Fd()), backend.RecordXattr); err != nil && !errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("taking the record off %s: %w", i.adopted, err)
	}
	return d.Sync()
}

// IsUnanswered tells whether a volume that adopts a directory was never Ready: then the
// directory is not its own to remove.
func IsUnanswered(v state.Volume) bool {
	return v.Spec.Adopt != "" && v.Status.Phase != state.Ready && v.Status.Phase != state.Deleting
}
