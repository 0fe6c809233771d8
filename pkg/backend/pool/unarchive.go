package pool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// ArchivedPath is where an entry of the archive lies, relative to its pool.
func ArchivedPath(name string) string { return path.Join(ArchiveDir, name) }

// ArchivedName returns the name in the archive of what lies at a path of the pool; ok tells
// whether that is one of the archive's entries.
func ArchivedName(at string) (name string, ok bool) {
	name, ok = strings.CutPrefix(at, ArchiveDir+"/")
	return name, ok && checkEntry(name) == nil
}

// heir is the volume that something in the archive is to become.
type heir struct {
	ID  string `json:"id"`
	UID string `json:"uid"`
}

func (h *heir) meta() *state.Meta {
	if h == nil {
		return nil
	}
	return &state.Meta{ID: h.ID, UID: h.UID}
}

// adoptArchived is Adopt for what is in the archive, which may be an image, too. Until the
// volume is Ready it is the archive's: it keeps the record of whose it was, and the volume
// is named beside its fate. What it takes is not counted: it has the size that it always had.
func (p *Pool) adoptArchived(name string, i item, own func(heir *state.Meta) error, suits, hold func(d *os.File) error) error {
	f, err := p.promise(name, i, own, suits)
	if err != nil {
		return full(err)
	}
	defer f.Close()
	crash.Step(crash.AdoptLabelled)
	return p.holdAdopted(f, i, hold)
}

// promise writes on an entry of the archive which volume it is to become, durably, and
// returns it, opened for reading.
func (p *Pool) promise(name string, i item, own func(heir *state.Meta) error, suits func(d *os.File) error) (_ *os.File, err error) {
	p.adopting.Lock()
	defer p.adopting.Unlock()
	f, was, err := p.openKept(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case st.IsDir() == i.file:
		return nil, state.Errorf(state.Incompatible, "%s of the archive is for another access type than %s", state.Quote(name), i)
	case p.isTaken(i):
		return nil, p.taken(i)
	}
	if err := suits(f); err != nil {
		return nil, err
	}
	if was.Heir == nil || was.Heir.UID != i.uid {
		if err := own(was.Heir.meta()); err != nil {
			return nil, err
		}
	}
	was.Heir = &heir{i.id, i.uid}
	return f, writeFate(f, was)
}

// openKept opens an entry of the archive that was a volume, for reading.
func (p *Pool) openKept(name string) (f *os.File, was fate, err error) {
	fd, err := openRecorded(int(p.root.Fd()), ArchivedPath(name))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, was, notArchived(name)
	}
	if err != nil {
		return nil, was, fmt.Errorf("opening %s in the archive: %w", name, err)
	}
	f = os.NewFile(uintptr(fd), ArchivedPath(name))
	if was, err = readFate(fd); err == nil && was.Of == "" {
		err = notArchived(name)
	}
	if err != nil {
		_ = f.Close()
		return nil, was, err
	}
	return f, was, nil
}

func notArchived(name string) error {
	return state.Errorf(state.NotFound, "the archive of this pool has no %s that was a volume", state.Quote(name))
}

// isPromised tells whether an entry of the archive is to become, or is, this volume.
func (p *Pool) isPromised(name string, i item) (bool, error) {
	f, was, err := p.openKept(name)
	if err != nil {
		return false, unlessAbsent(err)
	}
	_ = f.Close()
	return was.Heir != nil && was.Heir.UID == i.uid, nil
}

// beginLife writes the record of the volume that it is on an entry of the archive, durably: it
// must not reach its place without it.
func (p *Pool) beginLife(name string, i item) error {
	f, _, err := p.openKept(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeRecord(f, i); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	crash.Step(crash.RestoreLabelled)
	return nil
}

// breakPromise leaves to the archive what was to become a volume, once release has taken off
// it what hold gave it.
func (p *Pool) breakPromise(name string, i item, release func(d *os.File) error) error {
	f, was, err := p.openKept(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := release(f); err != nil {
		return err
	}
	p.adopting.Lock()
	defer p.adopting.Unlock()
	if was, err = readFate(int(f.Fd())); err != nil || was.Heir == nil || was.Heir.UID != i.uid {
		return err
	}
	was.Heir = nil
	return writeFate(f, was)
}

// Expire moves an entry of the archive to the trash, durably, where Purge removes it. What is
// written on it says so first: it would be archived again. own returns nil if it is to become no
// volume, given the names of the last that was to (nil: none); that is asked, and the entry moved,
// while nothing of the pool is adopted.
func (p *Pool) Expire(name string, own func(heir *state.Meta) error) error {
	if err := p.expire(name, own); err != nil {
		return fmt.Errorf("removing %s from the archive: %w", name, full(err))
	}
	return nil
}

func (p *Pool) expire(name string, own func(heir *state.Meta) error) error {
	if err := checkEntry(name); err != nil {
		return err
	}
	p.adopting.Lock()
	defer p.adopting.Unlock()
	archive, err := p.openArchive(false)
	if errors.Is(err, unix.ENOENT) {
		return state.Errorf(state.NotFound, "there is no archive")
	}
	if err != nil {
		return err
	}
	defer archive.Close()
	fd, err := openAt(archive.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if errors.Is(err, unix.ENOENT) {
		return state.Errorf(state.NotFound, "it is not there")
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	was, err := readFate(fd)
	if err != nil {
		return err
	}
	if was.Heir != nil {
		if err := own(was.Heir.meta()); err != nil {
			return err
		}
	}
	was.OnDelete, was.Heir = state.OnDeleteRemove, nil
	if err := writeFate(f, was); err != nil {
		return err
	}
	crash.Step(crash.ExpireDoomed)
	if err := p.toTrash(archive.fd(), name, name); err != nil {
		return err
	}
	crash.Step(crash.ExpireRenamed)
	// Into before out of: see Settle.
	return errors.Join(p.trash.Sync(), archive.Sync())
}
