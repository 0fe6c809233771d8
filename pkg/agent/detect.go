package agent

import (
	"errors"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/projectquota"
)

// openBackend opens the pool at path with the backend that makes the most of its
// filesystem. A new filesystem is added here.
func openBackend(path string) (backend.Backend, error) {
	p, err := pool.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := newBackend(p)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return b, nil
}

func newBackend(p *pool.Pool) (backend.Backend, error) {
	magic, err := p.FilesystemType()
	if err != nil {
		return nil, err
	}
	switch magic {
	case unix.BTRFS_SUPER_MAGIC:
		return btrfs.New(p)
	case unix.XFS_SUPER_MAGIC, unix.EXT4_SUPER_MAGIC:
		b, err := projectquota.New(p, projectquota.Options{})
		if err == nil && b.Unenforced() != nil {
			klog.V(1).InfoS("The sizes of this pool's volumes are not enforced", "path", p.Path(), "why", b.Unenforced())
		}
		return b, err
	default:
		return plain.New(p)
	}
}
