package mount

import (
	"os"

	"github.com/moby/sys/mountinfo"
)

// kernel is what this package needs of the operating system. It has no opinions:
// every decision is made by its callers, who can be tested with a fake. Errors wrap
// the errno.
type kernel interface {
	// mounts lists the mounts that this process can see.
	mounts() ([]*mountinfo.Info, error)
	// realPath follows the symbolic links of a trusted root. A path that does not
	// exist is returned as it is.
	realPath(dir string) (string, error)
	// locate finds a pool: its path without symbolic links, and the mount it is in.
	locate(dir string) (path string, mountID int, err error)
	// source looks at what a volume is: an open directory, or file.
	source(f *os.File) (source, error)
	// open holds the directory in which the target is, following no symbolic link.
	// Missing parents and a missing target are made, the latter as a directory or an
	// empty file, if create is one of these kinds; otherwise a missing parent is ENOENT.
	open(target string, create kind) (place, error)
}

// place is a target: a name in a directory that is held open. It never keeps the
// target itself open, which would make it busy.
type place interface {
	// look tells what is there, seeing a mount rather than what it hides.
	look() (found, error)
	// attributes returns those of the mount that look saw.
	attributes() (attrs, error)
	// empty tells whether the directory, or the file, has nothing in it.
	empty() (bool, error)
	// attach mounts a clone of what src is open on.
	attach(src *os.File, o Options) error
	// detach unmounts the topmost mount, if no process uses it.
	detach() error
	// remove removes the target if it is an empty directory, or an empty file, as kind
	// says.
	remove(kind) error
	// undo removes, if they are empty, the directories and the file that open has made.
	undo()
	close()
}

// identity tells files of one boot apart.
type identity struct{ dev, ino uint64 }

// source is what a volume's directory, or image, looks like at its pool.
type source struct {
	id    identity
	kind  kind
	attrs attrs // of the pool's mount
}

type kind string

const (
	missing      kind = "nothing"
	directory    kind = "a directory"
	regular      kind = "a file"
	device       kind = "a block device"
	symlink      kind = "a symbolic link"
	notDirectory kind = "not a directory"

	nothing kind = "" // for open: nothing is to be made
)

// found is what is at a target. The identity of a mounted loop device is that of the
// file it has, zero if it has none: numbers of devices are given to one after the other.
type found struct {
	kind    kind
	id      identity
	mounted bool // it is the root of a mount
	mountID int
}
