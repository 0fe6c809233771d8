package pool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// orphanMark begins the names of orphans in the trash. No ID has a "~" in it, so that such
// an entry is never taken for a volume whose deletion a crash cut short.
const orphanMark = "orphan~"

// CheckOrphan returns nil if what may be at a path of the pool is an orphan if no record
// speaks of it: if it lies where volumes, images or snapshots do.
func CheckOrphan(at string) error {
	first, rest, _ := strings.Cut(at, "/")
	switch {
	case rest == "" || path.Clean(rest) != rest || rest == "." || rest == ".." || strings.HasPrefix(rest, "../") || strings.HasPrefix(rest, "/") || strings.Contains(rest, "\x00"):
	case first == ClaimsDir:
		return nil
	case (first == VolumesDir || first == ImagesDir || first == SnapshotsDir) && !strings.Contains(rest, "/"):
		return nil
	}
	return state.Errorf(state.Invalid, "got the path %s; an orphan is at %s/NAME, %s/NAME, %s/NAME or %s/PATH of its pool", state.Quote(at), VolumesDir, ImagesDir, SnapshotsDir, ClaimsDir)
}

// RemoveOrphan moves what lies at a path of the pool to the trash: see package backend for
// the order of its durable steps. own returns nil if it is nobody's, given the names of the
// record that it carries (nil: none); that is asked, and the orphan moved, while nothing else
// of the pool is adopted.
func (p *Pool) RemoveOrphan(at string, own func(there *state.Meta) error) error {
	if err := CheckOrphan(at); err != nil {
		return err
	}
	p.adopting.Lock()
	defer p.adopting.Unlock()
	above, name := path.Split(at)
	fd, err := openDirAt(int(p.root.Fd()), path.Clean(above))
	none := state.Errorf(state.NotFound, "there is no %s in the pool", state.Quote(at))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return none
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", state.Quote(above), err)
	}
	from := &dir{File: os.NewFile(uintptr(fd), above)}
	defer from.Close()
	if !p.has(from, name) {
		return none
	}
	if err := p.checkClaimed(at, from, name); err != nil {
		return err
	}
	known, err := p.namesOn(at)
	if err != nil {
		return err
	}
	if err := own(known); err != nil {
		return err
	}
	err = p.toTrash(from.fd(), name, orphanMark+strings.ReplaceAll(uuid.NewString(), "-", ""))
	switch {
	case errors.Is(err, unix.EBUSY):
		return state.Errorf(state.InUse, "something is mounted at %s: unmount it first", state.Quote(at))
	case errors.Is(err, unix.ENOENT):
		return none
	case errors.Is(err, unix.EROFS) && isWritable(p.trash):
		return state.Errorf(state.Incompatible, "%s is a read-only subvolume: make it one that can be moved first (btrfs property set -f %s ro false)", state.Quote(at), state.Quote(path.Join(p.path, at)))
	case err != nil:
		return full(fmt.Errorf("moving %s to %s: %w", state.Quote(at), TrashDir, err))
	}
	crash.Step(crash.OrphanRenamed)
	if rest, ok := strings.CutPrefix(above, ClaimsDir+"/"); ok {
		p.vacate(item{home: p.claims, above: strings.TrimSuffix(rest, "/")})
	}
	// Into before out of: see Settle.
	if err := errors.Join(p.trash.Sync(), from.Sync()); err != nil {
		return fmt.Errorf("syncing that %s is in %s: %w", state.Quote(at), TrashDir, err)
	}
	return nil
}

// namesOn returns the names of the record that something in the pool carries; nil if it has
// none that can be read.
func (p *Pool) namesOn(at string) (*state.Meta, error) {
	var there struct{ state.Meta }
	err := p.readRecord(at, &there)
	if errors.Is(err, unix.EXDEV) {
		return nil, state.Errorf(state.InUse, "something is mounted at %s: unmount it first", state.Quote(at))
	}
	if err != nil || !state.ValidID(there.ID) || !state.ValidID(there.UID) {
		return nil, nil
	}
	return &there.Meta, nil
}

// checkClaimed refuses, of claims/, all that is no orphan by its place: directories on the way
// to volumes, and what lies in volumes and orphans. A directory that is called as those on the
// way are is refused, too, though it is an orphan by the record on it: a volume could be placed
// in it any time.
func (p *Pool) checkClaimed(at string, from *dir, name string) error {
	rest, ok := strings.CutPrefix(at, ClaimsDir+"/")
	if !ok {
		return nil
	}
	claimed, err := p.Claimed()
	if err != nil {
		return err
	}
	if !slices.Contains(claimed, rest) {
		return state.Errorf(state.Invalid, "%s is no orphan: it leads to volumes, or lies in something else", state.Quote(at))
	}
	var st unix.Stat_t
	if err := unix.Fstatat(from.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("looking at %s: %w", state.Quote(at), err)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR && name == state.DirectoryName(name) && strings.Count(rest, "/") < state.MaxDirectories {
		return state.Errorf(state.Invalid, "%s can be a directory on the way to volumes: move it out of %s, or remove it, by hand", state.Quote(at), ClaimsDir)
	}
	return nil
}

// isWritable tells whether the filesystem that a directory is on takes writes.
func isWritable(d *dir) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(d.fd(), &st) == nil && st.Flags&unix.ST_RDONLY == 0
}
