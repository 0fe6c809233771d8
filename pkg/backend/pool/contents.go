package pool

import (
	"context"
	"os"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Contents lists the pool, for the start-up scan.
func (p *Pool) Contents(context.Context) (backend.Contents, error) {
	var c backend.Contents
	for name, set := range map[string]*map[string]struct{}{VolumesDir: &c.Volumes, ImagesDir: &c.Images, SnapshotsDir: &c.Snapshots, BuildDir: &c.Building, TrashDir: &c.Trash} {
		names, err := namesIn(int(p.root.Fd()), name)
		if err != nil {
			return c, err
		}
		*set = make(map[string]struct{}, len(names))
		for _, n := range names {
			(*set)[n] = struct{}{}
		}
	}
	claimed, err := p.Claimed()
	c.Claims = make(map[string]struct{}, len(claimed))
	for _, path := range claimed {
		c.Claims[path] = struct{}{}
	}
	return c, err
}

// Trash lists what Purge may take.
func (p *Pool) Trash(context.Context) ([]string, error) { return namesIn(int(p.root.Fd()), TrashDir) }

// DiscardLeaving moves an entry of .tmp that no record speaks of into the trash.
// It needs no sync: after a power cut the next scan finds it again.
func (p *Pool) DiscardLeaving(name string) error {
	if err := checkEntry(name); err != nil {
		return err
	}
	return p.toTrash(p.build.fd(), name, name)
}

// checkEntry refuses what cannot be the name of a directory's entry.
func checkEntry(name string) error {
	if name == "" || name == "." || name == ".." || strings.Contains(name, "/") {
		return state.Errorf(state.Invalid, "%q cannot be the name of a directory entry", name)
	}
	return nil
}

// namesIn lists a directory beneath root through a descriptor of its own, so that
// no other reader's position is moved.
func namesIn(root int, name string) ([]string, error) {
	fd, err := openDirAt(root, name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	d := os.NewFile(uintptr(fd), name)
	defer d.Close()
	return d.Readdirnames(-1)
}
