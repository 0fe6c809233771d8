// Package floor does what a CSI driver that publishes directories cannot do
// without, and nothing else: the bare system calls, without gRPC, records,
// limits or checks. No driver on the same machine can be faster, so that the
// ratio to it tells more than a rate does.
//
// The floor runs in a process of its own (Worker), so that its threads and its
// memory are not those of the load generator; Client talks to it.
package floor

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Operation names what is measured, as the report does.
type Operation string

// The operations of the floor, with their system calls.
const (
	// Create: mkdir, and fsync of the directory that it is in.
	Create Operation = "create"
	// Publish: mkdir of the target, and a bind mount onto it.
	Publish Operation = "publish"
	// Stats: statfs.
	Stats Operation = "stats"
	// Unpublish: umount2, and rmdir of the target.
	Unpublish Operation = "unpublish"
	// Delete: rename out of the way, and rmdir.
	Delete Operation = "delete"
	// Cycle: all of these in a row.
	Cycle Operation = "cycle"
)

// steps is the system calls of every operation.
var steps = map[Operation][]func(*tree, string) error{
	Create:    {(*tree).create},
	Publish:   {(*tree).publish},
	Stats:     {(*tree).stats},
	Unpublish: {(*tree).unpublish},
	Delete:    {(*tree).delete},
	Cycle:     {(*tree).create, (*tree).publish, (*tree).stats, (*tree).unpublish, (*tree).delete},
}

// tree is the floor's stand-in for a pool and for the kubelet's directory.
type tree struct {
	volumes, trash, targets string
	parent                  *os.File // volumes, opened once
}

// newTree makes the directories under dir.
func newTree(dir string) (*tree, error) {
	t := &tree{
		volumes: filepath.Join(dir, "volumes"),
		trash:   filepath.Join(dir, "trash"),
		targets: filepath.Join(dir, "targets"),
	}
	for _, d := range []string{t.volumes, t.trash, t.targets} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return nil, err
		}
	}
	var err error
	t.parent, err = os.Open(t.volumes)
	return t, err
}

func (t *tree) create(name string) error {
	if err := unix.Mkdir(t.volumes+"/"+name, 0o777); err != nil {
		return fmt.Errorf("mkdir %s: %w", name, err)
	}
	if err := unix.Fsync(int(t.parent.Fd())); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	return nil
}

func (t *tree) publish(name string) error {
	target := t.targets + "/" + name
	if err := unix.Mkdir(target, 0o750); err != nil {
		return fmt.Errorf("mkdir target %s: %w", name, err)
	}
	if err := unix.Mount(t.volumes+"/"+name, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", name, err)
	}
	return nil
}

func (t *tree) stats(name string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(t.targets+"/"+name, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", name, err)
	}
	return nil
}

func (t *tree) unpublish(name string) error {
	target := t.targets + "/" + name
	if err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("umount %s: %w", name, err)
	}
	if err := unix.Rmdir(target); err != nil {
		return fmt.Errorf("rmdir target %s: %w", name, err)
	}
	return nil
}

func (t *tree) delete(name string) error {
	if err := unix.Rename(t.volumes+"/"+name, t.trash+"/"+name); err != nil {
		return fmt.Errorf("rename %s: %w", name, err)
	}
	if err := unix.Rmdir(t.trash + "/" + name); err != nil {
		return fmt.Errorf("rmdir %s: %w", name, err)
	}
	return nil
}
