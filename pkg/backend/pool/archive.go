package pool

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
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
		fd, err := openRecorded(int(p.root.Fd()), ArchivedPath(name))
		if err != nil {
			continue
		}
		f, err := readFate(fd)
		unix.Close(fd)
		if err != nil || f.Of == "" { // nothing that was archived here
			continue
		}
		if v, err := p.ReadRecord(ArchivedPath(name)); err == nil {
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
	f, _, err := p.openKept(name)
	if err != nil {
		return o, err
	}
	defer f.Close()
	if o.Volume, err = p.ReadRecord(ArchivedPath(name)); err != nil {
		return o, err
	}
	fd, err := openAt(int(p.root.Fd()), ArchivedPath(name), unix.O_PATH)
	if err != nil {
		return o, fmt.Errorf("opening %s in the archive: %w", name, err)
	}
	o.File = os.NewFile(uintptr(fd), ArchivedPath(name))
	return o, nil
}
