package inspect

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// disk is a pool that is open to be looked at.
type disk struct {
	*pool.Pool
	features backend.Features
	// limited tells whether the filesystem holds a mount volume to its size.
	limited func(v state.Volume) bool
	// counted asks the filesystem what a volume takes; ok is false if it does not
	// know.
	counted func(v state.Volume) (bytes int64, ok bool, err error)
	close   func() error
}

// open opens a pool, with what its filesystem can tell.
func open(path string) (_ *disk, err error) {
	p, err := pool.Look(path)
	if err != nil {
		return nil, err
	}
	magic, err := p.FilesystemType()
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if magic == unix.BTRFS_SUPER_MAGIC {
		b, err := btrfs.New(p, btrfs.Options{})
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		f := b.Features()
		return &disk{Pool: p, features: f, limited: func(state.Volume) bool { return f.EnforcesLimits }, counted: b.Referenced, close: b.Close}, nil
	}
	b, err := plain.New(p)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	d := &disk{Pool: p, features: b.Features(), limited: func(state.Volume) bool { return false }, counted: unknown, close: b.Close}
	if magic == unix.XFS_SUPER_MAGIC || magic == unix.EXT4_SUPER_MAGIC {
		err = d.openQuota(path)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func unknown(state.Volume) (int64, bool, error) { return 0, false, nil }

// openQuota has the filesystem's project quota asked, where it is on.
func (d *disk) openQuota(path string) error {
	root, err := os.OpenFile(path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	fs, err := quota.Open(root)
	if err != nil { // limits are not enforced, or we may not ask: doctor tells
		return root.Close()
	}
	pool := d.close
	d.close = func() error { return errors.Join(pool(), root.Close()) }
	d.features.EnforcesLimits = true
	d.limited = func(v state.Volume) bool { return v.Status.QuotaID != 0 }
	d.counted = func(v state.Volume) (int64, bool, error) {
		if v.Status.QuotaID == 0 {
			return 0, false, nil
		}
		u, err := fs.Usage(v.Status.QuotaID)
		return u.Bytes, err == nil, err
	}
	return nil
}
