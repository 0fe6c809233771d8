package agent

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/projectquota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// openBackend opens a pool with the backend that makes the most of its
// filesystem. A new filesystem is added here.
func openBackend(o PoolOptions) (backend.Backend, error) {
	p, err := pool.Open(o.Path)
	if err != nil {
		return nil, err
	}
	b, err := newBackend(p, o)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return b, nil
}

func newBackend(p *pool.Pool, o PoolOptions) (backend.Backend, error) {
	magic, err := p.FilesystemType()
	if err != nil {
		return nil, err
	}
	unlimited := o.Enforcement == state.EnforcementNone
	switch magic {
	case unix.BTRFS_SUPER_MAGIC:
		return btrfs.New(p, btrfs.Options{Unlimited: unlimited})
	case unix.XFS_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC:
		return projectquota.New(p, projectquota.Options{Unlimited: unlimited, Range: projectquota.RangeOf(o.ProjectIDs.First, o.ProjectIDs.Last)})
	default:
		return plain.New(p)
	}
}
