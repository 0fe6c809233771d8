package projectquota

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Purge removes one entry of the trash, and then the limit that its data was under.
func (b *Backend) Purge(ctx context.Context, name string, progress func(inodes int)) error {
	if b.ids == nil {
		return b.Backend.Purge(ctx, name, progress)
	}
	projects := b.projectsOf(name)
	if err := b.Backend.Purge(ctx, name, progress); err != nil {
		return err
	}
	for _, id := range projects {
		if err := b.ids.Retire(id); err != nil {
			return err
		}
	}
	return nil
}

// projectsOf returns the projects whose limit may have to go with an entry of the
// trash: that of its record, which no pod can change, and, where it has none (an
// earlier purge was cut short, say), that which it carries, if it can be this
// driver's. What is missed here is left for Sweep.
func (b *Backend) projectsOf(name string) []uint32 {
	path := filepath.Join(pool.TrashDir, name)
	v, err := b.ReadRecord(path)
	if err == nil && v.Status.QuotaID != 0 {
		return []uint32{v.Status.QuotaID}
	}
	id, err := b.projectOf(path)
	if err != nil || !b.ids.Contains(id) {
		return nil
	}
	return []uint32{id}
}

// projectOf returns the project that a directory of the pool carries; 0 for anything
// that is no directory.
func (b *Backend) projectOf(path string) (uint32, error) {
	d, err := openAt(b.root, path, unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer d.Close()
	id, _, err := quota.Project(d)
	return id, err
}

// ReservedIDs tells which projects the pool's directories carry, those that are being
// built or removed too, and which of them. It is for looking into a pool: that no such
// project is given out again is seen to by the filesystem's own count of inodes.
func (b *Backend) ReservedIDs(ctx context.Context) (map[uint32][]string, error) {
	c, err := b.Contents(ctx)
	if err != nil {
		return nil, err
	}
	reserved := map[uint32][]string{}
	for dir, names := range map[string]map[string]struct{}{pool.VolumesDir: c.Volumes, pool.ClaimsDir: c.Claims, pool.BuildDir: c.Building, pool.TrashDir: c.Trash} {
		for name := range names {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			path := filepath.Join(dir, name)
			id, err := b.projectOf(path)
			if err != nil {
				return nil, state.Errorf(state.Defect, "project of %s: %w", path, err)
			}
			if id != 0 {
				reserved[id] = append(reserved[id], path)
			}
		}
	}
	return reserved, nil
}
