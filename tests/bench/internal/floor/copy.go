package floor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Copier does the least that a durable copy of a directory takes on a filesystem.
type Copier struct {
	// Filesystem is its kind: "btrfs" and "xfs" share blocks.
	Filesystem string
	// Projects tells that XFS and ext4 limit projects here: their kernel can.
	Projects bool
	project  uint32   // the last one that was given
	parent   *os.File // where copies are made
}

// NewCopier returns a Copier that works in dir, which it makes.
func NewCopier(filesystem, dir string) (*Copier, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, err
	}
	parent, err := os.Open(dir)
	return &Copier{Filesystem: filesystem, project: 1 << 30, parent: parent}, err
}

// Close closes what it holds open.
func (c *Copier) Close() error { return c.parent.Close() }

// Limits tells whether what CreateLimited makes has a limit.
func (c *Copier) Limits() bool { return c.Filesystem == "btrfs" || c.Projects }

// CreateLimited makes an empty volume, with a limit if there are any here.
func (c *Copier) CreateLimited(name string, bytes int64) error {
	fd := int(c.parent.Fd())
	if c.Filesystem == "btrfs" {
		return createLimited(fd, name, bytes)
	}
	if c.Projects {
		c.project++
		return createInProject(fd, name, c.project, bytes)
	}
	return errors.Join(unix.Mkdirat(fd, name, 0o777), unix.Fsync(fd))
}

// File copies a directory that holds one file of the name "file": by a snapshot of the
// subvolume that it is, by FICLONE, or by copy_file_range as cp(1) does it.
func (c *Copier) File(from, name string) error {
	fd := int(c.parent.Fd())
	if c.Filesystem == "btrfs" {
		return in(from, func(of int) error { return snapshot(of, fd, name) })
	}
	if err := unix.Mkdirat(fd, name, 0o777); err != nil {
		return err
	}
	src, err := os.Open(filepath.Join(from, "file"))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(filepath.Join(c.parent.Name(), name, "file"))
	if err != nil {
		return err
	}
	defer dst.Close()
	if c.Filesystem == "xfs" {
		err = unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	} else {
		err = copyRange(dst, src)
	}
	return errors.Join(err, dst.Sync(), in(filepath.Join(c.parent.Name(), name), unix.Fsync), unix.Fsync(fd))
}

func copyRange(dst, src *os.File) error {
	const all = 1 << 30
	for {
		switch n, err := unix.CopyFileRange(int(src.Fd()), nil, int(dst.Fd()), nil, all, 0); {
		case err != nil:
			return fmt.Errorf("copy_file_range: %w", err)
		case n == 0:
			return nil
		}
	}
}

// Tree copies a directory of many files: by a snapshot of the subvolume that it is, or by
// cp -a, which shares blocks where it can, and one syncfs.
func (c *Copier) Tree(from, name string) error {
	if c.Filesystem == "btrfs" {
		return c.File(from, name)
	}
	to := filepath.Join(c.parent.Name(), name)
	if out, err := exec.Command("cp", "-a", "--reflink=auto", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return unix.Syncfs(int(c.parent.Fd()))
}

// Remove removes what was made.
func (c *Copier) Remove(name string) error {
	if c.Filesystem == "btrfs" {
		return deleteSubvolume(int(c.parent.Fd()), name)
	}
	return os.RemoveAll(filepath.Join(c.parent.Name(), name))
}
