// Package quota is project quota, by system calls alone.
//
// A project is a number that files carry. What is made in a directory with the inherit
// flag carries the directory's number, and the filesystem counts and limits the bytes
// and inodes of each number; no file is renamed or linked across two of them (EXDEV).
// So a directory becomes a volume that has a size.
//
// What that does not hold: a process with CAP_SYS_RESOURCE writes on ext4 beyond any
// limit, and who owns a file may give it another number, unless he is in a user
// namespace (FS_IOC_FSSETXATTR, which the kernel allows owners).
package quota

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Filesystem is one that counts projects and enforces their limits.
type Filesystem struct{ root *os.File }

// Usage is what a filesystem knows of one project.
type Usage struct {
	// ID is the project's number.
	ID uint32
	// Bytes counts blocks, those of directories, attributes and extent maps too, and
	// what is promised to data that is still in memory. Inodes counts every kind.
	Bytes, Inodes int64
	// MaxBytes and MaxInodes are the hard limits; 0: none.
	MaxBytes, MaxInodes int64

	soft bool // there is a limit that this package never sets
}

// Limited tells whether anybody has set a limit.
func (u Usage) Limited() bool { return u.MaxBytes > 0 || u.MaxInodes > 0 || u.soft }

// InUse tells whether the number means something to anybody: files carry it, or it has
// a limit.
func (u Usage) InUse() bool { return u.Bytes > 0 || u.Inodes > 0 || u.Limited() }

// Open returns the filesystem that dir is on; O_PATH will do, and dir must stay open.
// Unsupported, with what to mount or format, where project quota is not enforced.
func Open(dir *os.File) (*Filesystem, error) {
	f := &Filesystem{root: dir}
	if err := f.Enforced(); err != nil {
		return nil, err
	}
	return f, nil
}

// SetLimit limits the project to so many bytes, rounded up to the filesystem's block,
// and inodes; 0 is no limit. What is in use already may be more. It is as durable as
// the next fsync on the filesystem: both XFS and ext4 log limits in order.
func (f *Filesystem) SetLimit(id uint32, bytes, inodes int64) error {
	if id == 0 || id == ^uint32(0) || bytes < 0 || inodes < 0 {
		return state.Errorf(state.Defect, "project %d cannot be limited to %d bytes and %d inodes", id, bytes, inodes)
	}
	q := diskQuota{
		Version: quotaVersion, Flags: projectFlag, FieldMask: limitFields, ID: id,
		BlkHardLimit: (uint64(bytes) + basicBlock - 1) / basicBlock, InoHardLimit: uint64(inodes),
	}
	if err := quotactl(f.root, qXSetLimit, id, &q); err != nil {
		return fmt.Errorf("limiting project %d to %d bytes and %d inodes: %w", id, bytes, inodes, err)
	}
	return nil
}

// Clear removes the project's limits.
func (f *Filesystem) Clear(id uint32) error { return f.SetLimit(id, 0, 0) }

// Usage tells of one project, in constant time.
func (f *Filesystem) Usage(id uint32) (Usage, error) {
	var q diskQuota
	err := quotactl(f.root, qXGetQuota, id, &q)
	if errors.Is(err, unix.ENOENT) { // XFS: never heard of it
		return Usage{ID: id}, nil
	}
	if err != nil {
		return Usage{}, fmt.Errorf("usage of project %d: %w", id, err)
	}
	return q.usage(), nil
}

// Next tells of the first project from the given number on that the filesystem has an
// entry of. Not every entry means something: see Usage.InUse.
func (f *Filesystem) Next(from uint32) (u Usage, ok bool, err error) {
	var q diskQuota
	err = quotactl(f.root, qXGetNextQuota, from, &q)
	if errors.Is(err, unix.ENOENT) {
		return Usage{}, false, nil
	}
	if err != nil {
		return Usage{}, false, fmt.Errorf("listing projects from %d: %w", from, err)
	}
	return q.usage(), true, nil
}

func (q *diskQuota) usage() Usage {
	return Usage{
		ID: q.ID, Bytes: int64(q.BlkCount) * basicBlock, Inodes: int64(q.InoCount),
		MaxBytes: int64(q.BlkHardLimit) * basicBlock, MaxInodes: int64(q.InoHardLimit),
		soft: q.BlkSoftLimit|q.InoSoftLimit != 0,
	}
}
