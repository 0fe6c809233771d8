package pool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// ClaimsDir holds the volumes that are named after their claims; package backend tells
// how they lie in it.
const ClaimsDir = "claims"

// wayTries bounds how often what is on the way is made anew that deletions beside remove.
const wayTries = 1000

// enter opens the directory that an item has its place in, and, if so asked, makes those on
// the way.
func (i item) enter(make bool) (*dir, func(), error) {
	if i.above == "" {
		return i.home, func() {}, nil
	}
	fd, err := openDirAt(i.home.fd(), i.above)
	for try := 0; make && errors.Is(err, unix.ENOENT) && try < wayTries; try++ {
		if err = i.makeWay(); err == nil {
			crash.Step(crash.ClaimsMade)
			fd, err = openDirAt(i.home.fd(), i.above)
		}
	}
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: filepath.Join(i.home.Name(), i.above), Err: err}
	}
	d := &dir{File: os.NewFile(uintptr(fd), filepath.Join(i.home.Name(), i.above))}
	return d, func() { _ = d.Close() }, nil
}

// makeWay makes the directories on the way; ENOENT if one is removed meanwhile.
func (i item) makeWay() error {
	at := ""
	for name := range strings.SplitSeq(i.above, "/") {
		at = path.Join(at, name)
		if err := mkdirBeneath(i.home.fd(), at); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return nil
}

// mkdirBeneath makes one directory at a path of which all but the last name is there.
func mkdirBeneath(dirfd int, name string) error {
	above, last := path.Split(name)
	if above != "" {
		fd, err := openDirAt(dirfd, above)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		dirfd = fd
	}
	return unix.Mkdirat(dirfd, last, dirMode)
}

// moveHome renames what is called name in from to the item's place, which must be free.
// A directory on the way that is removed meanwhile, being empty, is made again.
func (p *Pool) moveHome(from *dir, name string, i item) error {
	for try := 1; ; try++ {
		home, leave, err := i.enter(true)
		if err != nil {
			return err
		}
		err = unix.Renameat2(from.fd(), name, home.fd(), i.name, unix.RENAME_NOREPLACE)
		leave()
		if errors.Is(err, unix.ENOENT) && i.above != "" && try < wayTries && p.has(from, name) {
			continue
		}
		return err
	}
}

// isTaken tells whether there is anything in the item's place.
func (p *Pool) isTaken(i item) bool {
	home, leave, err := i.enter(false)
	if err != nil {
		return !errors.Is(err, unix.ENOENT)
	}
	defer leave()
	return p.has(home, i.name)
}

// vacate is for after an item has left its place: the directories on the way are removed
// as far as they are empty. Settle makes it durable that it left.
func (p *Pool) vacate(i item) {
	if i.above == "" {
		return
	}
	if !p.inOrder {
		p.vacatedMu.Lock()
		if p.vacated == nil {
			p.vacated = map[string]struct{}{}
		}
		p.vacated[i.above] = struct{}{}
		p.vacatedMu.Unlock()
	}
	for above := i.above; above != ""; {
		up, name := path.Split(above)
		up = strings.TrimSuffix(up, "/")
		fd, err := openDirAt(i.home.fd(), path.Join(".", up))
		if err != nil {
			return // who removes it is at it already
		}
		err = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
		unix.Close(fd)
		if err != nil {
			return // there are others in it
		}
		crash.Step(crash.ClaimsPruned)
		above = up
	}
}

// syncVacated syncs the directories that volumes have left: what is left of the way to
// each.
func (p *Pool) syncVacated() error {
	p.vacatedMu.Lock()
	vacated := p.vacated
	p.vacated = nil
	p.vacatedMu.Unlock()
	for above := range vacated {
		fd, err := openDirAt(p.claims.fd(), above)
		for errors.Is(err, unix.ENOENT) && above != "." {
			above = path.Dir(above)
			fd, err = openDirAt(p.claims.fd(), above)
		}
		if err != nil {
			return fmt.Errorf("syncing %s/%s: %w", ClaimsDir, above, err)
		}
		err = unix.Fsync(fd)
		unix.Close(fd)
		if err != nil {
			return fmt.Errorf("syncing %s/%s: %w", ClaimsDir, above, err)
		}
	}
	return nil
}

// Claimed lists, sorted, the paths beneath claims/ of all that is no directory on the way to
// places: volumes, and whatever else lies there. It enters nothing that can be a volume or
// carries a record.
func (p *Pool) Claimed() ([]string, error) {
	var found []string
	err := p.walkClaims("", 0, func(at string) { found = append(found, at) }, func(int, string) {})
	slices.Sort(found)
	return found, err
}

// Prune removes the directories of claims/ that are empty. It needs no sync: after a
// power cut the next start finds them again.
func (p *Pool) Prune(ctx context.Context) error {
	return p.walkClaims("", 0, func(string) {}, func(dirfd int, name string) {
		if ctx.Err() == nil {
			_ = unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR) // if it is empty
		}
	})
}

// walkClaims calls found for what lies in a directory of claims/ and is none on the way to
// places, and left for each of those, once it was walked.
func (p *Pool) walkClaims(at string, depth int, found func(path string), left func(dirfd int, name string)) error {
	fd, err := openDirAt(int(p.root.Fd()), path.Join(ClaimsDir, at))
	if errors.Is(err, unix.ENOENT) { // a pool of an older driver, or removed meanwhile
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: path.Join(ClaimsDir, at), Err: err}
	}
	d := os.NewFile(uintptr(fd), path.Join(ClaimsDir, at))
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		within := path.Join(at, name)
		if depth == state.MaxDirectories || !p.isOnTheWay(fd, name) {
			found(within)
			continue
		}
		if err := p.walkClaims(within, depth+1, found, left); err != nil {
			return err
		}
		left(fd, name)
	}
	return nil
}

// isOnTheWay tells whether an entry of claims/ is a directory on the way to places: called as
// those are, and without a record.
func (p *Pool) isOnTheWay(dirfd int, name string) bool {
	if name != state.DirectoryName(name) {
		return false
	}
	fd, err := openDirAt(dirfd, name)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	_, err = unix.Fgetxattr(fd, backend.RecordXattr, nil)
	return errors.Is(err, unix.ENODATA)
}
