package pool

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// ArchiveDir holds the volumes that were deleted and are kept, under names that tell
// whose they were. It is made when the first comes.
const ArchiveDir = "archive"

// openArchive opens the archive, which may have to be made.
func (p *Pool) openArchive(make bool) (*dir, error) {
	root, err := openDirAt(int(p.root.Fd()), ".") // root is O_PATH, which cannot be synced
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	fd, err := openDirAt(root, ArchiveDir)
	if errors.Is(err, unix.ENOENT) && make {
		if err := unix.Mkdirat(root, ArchiveDir, snapshotsMode); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
		if err := unix.Fsync(root); err != nil {
			return nil, err
		}
		fd, err = openDirAt(root, ArchiveDir)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: ArchiveDir, Err: err}
	}
	return &dir{File: os.NewFile(uintptr(fd), ArchiveDir)}, nil
}

// Archive moves an entry of the trash to the archive and returns its name there. Both
// directories are synced, the archive first: a power cut leaves it in one of them, or
// in both names of one rename, and what is in the trash is archived again.
func (p *Pool) Archive(entry string) (name string, err error) {
	if err := checkEntry(entry); err != nil {
		return "", err
	}
	archive, err := p.openArchive(true)
	if err != nil {
		return "", fmt.Errorf("archiving %s: %w", entry, full(err))
	}
	defer archive.Close()
	wanted := p.archiveName(entry)
	name = wanted
	for n := 1; ; n++ {
		err = unix.Renameat2(p.trash.fd(), entry, archive.fd(), name, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EEXIST) {
			break
		}
		name = wanted + ".again" + strconv.Itoa(n)
	}
	if err != nil {
		return "", fmt.Errorf("archiving %s: %w", entry, full(err))
	}
	crash.Step(crash.PurgeArchived)
	if err := errors.Join(archive.Sync(), p.trash.Sync()); err != nil {
		return "", fmt.Errorf("archiving %s: %w", entry, err)
	}
	return name, nil
}

// archiveName is what a person recognizes: the claim or else the ID, the day of the
// deletion, and enough of the UID to tell two of a name apart.
func (p *Pool) archiveName(entry string) string {
	v, err := p.ReadRecord(TrashDir + "/" + entry)
	if err != nil {
		return entry
	}
	whose := v.ID
	if c := v.Spec.Claim; c != nil && c.Name != "" {
		whose = c.Namespace + "_" + c.Name
	}
	day := "undated"
	if f, err := p.Fate(entry); err == nil && !f.DeletedAt.IsZero() {
		day = f.DeletedAt.Format("2006-01-02")
	}
	return plainName(whose) + "." + day + "." + v.UID[:min(8, len(v.UID))]
}

// plainName makes, of any string, a part of a file name that is safe in a shell.
func plainName(s string) string {
	const longest = 140
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, s[:min(len(s), longest)])
	if s == "" || s[0] == '-' {
		s = "_" + s
	}
	return s
}

// Archived lists the archive. What cannot be read is listed with its name alone.
func (p *Pool) Archived() ([]backend.Archived, error) {
	names, err := p.Names(ArchiveDir)
	if err != nil {
		return nil, fmt.Errorf("listing the archive: %w", err)
	}
	all := make([]backend.Archived, len(names))
	for i, name := range names {
		all[i].Name = name
		fd, err := openAt(int(p.root.Fd()), ArchiveDir+"/"+name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
		if err != nil {
			continue
		}
		f, err := readFate(fd)
		unix.Close(fd)
		if err != nil || f.Of == "" { // nothing that was archived here
			continue
		}
		if v, err := p.ReadRecord(ArchiveDir + "/" + name); err == nil {
			all[i].Volume, all[i].DeletedAt = &v, f.DeletedAt
		}
	}
	return all, nil
}

// OpenArchived opens an entry of the archive that was a volume, with O_PATH.
func (p *Pool) OpenArchived(name string) (o backend.OpenArchived, err error) {
	if err := checkEntry(name); err != nil {
		return o, err
	}
	none := state.Errorf(state.NotFound, "the archive of this pool has no %s that was a volume", state.Quote(name))
	fd, err := openAt(int(p.root.Fd()), ArchiveDir+"/"+name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if errors.Is(err, unix.ENOENT) {
		return o, none
	}
	if err != nil {
		return o, fmt.Errorf("opening %s in the archive: %w", name, err)
	}
	defer unix.Close(fd)
	f, err := readFate(fd)
	if err != nil || f.Of == "" {
		return o, none
	}
	if o.Volume, err = p.ReadRecord(ArchiveDir + "/" + name); err != nil {
		return o, err
	}
	path, err := openAt(int(p.root.Fd()), ArchiveDir+"/"+name, unix.O_PATH)
	if err != nil {
		return o, fmt.Errorf("opening %s in the archive: %w", name, err)
	}
	o.File = os.NewFile(uintptr(path), ArchiveDir+"/"+name)
	return o, nil
}

// Expire moves an archived volume to the trash, where Purge removes it. What is written
// on it says so first, durably: it would be archived again.
func (p *Pool) Expire(name string) error {
	if err := checkEntry(name); err != nil {
		return err
	}
	archive, err := p.openArchive(false)
	if err != nil {
		return err
	}
	defer archive.Close()
	fd, err := openAt(archive.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return fmt.Errorf("removing %s from the archive: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	was, err := readFate(fd)
	if err == nil {
		was.OnDelete = state.OnDeleteRemove
		err = writeFate(f, was)
	}
	if err == nil {
		err = p.toTrash(archive.fd(), name, name)
	}
	if err != nil {
		return fmt.Errorf("removing %s from the archive: %w", name, err)
	}
	return nil
}

// Unarchive moves an archived volume to its place again, durably, and returns that and
// its record. It refuses while there is another in that place.
//
// It begins a new life, with a UID of its own: the store may still have the record of
// the one that was deleted, and would end this one with it. The record is written and
// synced before the rename.
func (p *Pool) Unarchive(name string) (path string, v state.Volume, err error) {
	if err := checkEntry(name); err != nil {
		return "", v, err
	}
	if v, err = p.ReadRecord(ArchiveDir + "/" + name); err != nil {
		return "", v, err
	}
	archive, err := p.openArchive(false)
	if err != nil {
		return "", v, err
	}
	defer archive.Close()
	v.Spec.Adopt = "" // what it was made of is itself
	v.UID = strings.ReplaceAll(uuid.NewString(), "-", "")
	i := p.volume(v)
	if err := i.check(); err != nil {
		return "", v, err
	}
	if p.isTaken(i) {
		return "", v, p.inTheWay(i)
	}
	if err := p.beginLife(archive, name, i); err != nil {
		return "", v, fmt.Errorf("bringing %s back: %w", name, full(err))
	}
	err = p.moveHome(archive, name, i)
	if errors.Is(err, unix.EEXIST) {
		return "", v, p.inTheWay(i)
	}
	if err == nil {
		err = errors.Join(p.syncHome(i), archive.Sync())
	}
	if err != nil {
		return "", v, fmt.Errorf("bringing %s back: %w", name, full(err))
	}
	return i.path, v, nil
}

func (p *Pool) inTheWay(i item) error {
	return state.Errorf(state.AlreadyExists, "there is a %s at %s: delete it, or move it away, before its older life comes back", i, i.path)
}

// beginLife writes the record of a new life on something archived.
func (p *Pool) beginLife(archive *dir, name string, i item) error {
	fd, err := openAt(archive.fd(), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if err := writeRecord(f, i); err != nil {
		return err
	}
	return f.Sync()
}
