// Package projectquota is the backend for XFS and ext4 with project quota: a volume is
// a directory that the filesystem holds to its size.
//
// Both filesystems do it the same way, through the same system calls (package quota),
// so this is one backend, and which of the two is below is told only by its Features.
// A volume whose record has no project (Status.QuotaID 0), and every volume of a
// filesystem that does not enforce limits, is a plain directory.
//
// # A project's life
//
//	Take      (IDs) the agent takes an ID and records it, durably
//	Build     the empty directory is made one of the project; then the project is
//	          limited: files carry it before it has a limit, see quota.IDs
//	Resize    the limit is moved, before the record on the volume is
//	Discard   nothing: what is in the trash takes room, and is still limited
//	Release   (IDs) the record is gone
//	Purge     the data is gone, and then the limit; until then the ID is not given
//	          out again, for files carry it or it has a limit
//	Sweep     at the start: limits are cleared whose data was purged before a crash
//
// # What the limit does not hold
//
// On ext4, a pod with CAP_SYS_RESOURCE (any privileged one). On both, a pod that runs
// outside of a user namespace may give files that it owns another project, by an ioctl
// for which nobody but an attacker has a use.
package projectquota

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Options say how volumes are limited.
type Options struct {
	// Range is the project IDs to choose from; the zero value means quota.DefaultRange.
	Range quota.Range
	// BytesPerInode gives a volume one inode for so many bytes of its size, as mkfs
	// -i does for a filesystem; 0: as many as the filesystem has.
	BytesPerInode int64
	// Unlimited gives new volumes no project, though the filesystem enforce limits. Those
	// that have one keep it.
	Unlimited bool
}

// RangeOf is the project IDs from first to last; the zero value of both means
// quota.DefaultRange.
func RangeOf(first, last uint32) quota.Range {
	if first == 0 && last == 0 {
		return quota.DefaultRange
	}
	return quota.Range{First: first, Count: last - first + 1}
}

// Backend is a pool of directories with a size.
type Backend struct {
	*plain.Backend
	o        Options
	features backend.Features

	root *os.File // the pool's directory, O_PATH
	// fs and ids are nil where limits are not enforced, for the reason why.
	fs  *quota.Filesystem
	ids *poolIDs
	why error
}

var _ backend.Limiter = (*Backend)(nil)

// New makes a Backend of an open pool, which it then owns. That the filesystem does
// not enforce limits is no error: see Features and Unenforced.
func New(p *pool.Pool, o Options) (_ *Backend, err error) {
	if o.Range == (quota.Range{}) {
		o.Range = quota.DefaultRange
	}
	if err := o.Range.Validate(); err != nil {
		return nil, err
	}
	root, err := openRoot(p)
	if err != nil {
		return nil, err
	}
	b := &Backend{o: o, root: root}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.closeIDs(), root.Close())
		}
	}()
	b.why = b.enforce()
	if b.why != nil && state.ReasonOf(b.why) != state.Unsupported {
		return nil, fmt.Errorf("pool %s: %w", p.Path(), b.why)
	}
	if b.Backend, err = plain.New(p); err != nil {
		return nil, err
	}
	b.features = b.Backend.Features()
	b.features.EnforcesLimits = b.why == nil && !o.Unlimited
	b.features.SharesBlocks = sharesBlocks(root)
	return b, nil
}

// enforce finds out whether limits are enforced, and prepares for them.
func (b *Backend) enforce() error {
	fs, err := quota.Open(b.root)
	if err != nil {
		return err
	}
	if err := checkInherited(b.root); err != nil {
		return err
	}
	ids, err := shareIDs(b.root, b.o.Range)
	if err != nil {
		return err
	}
	b.fs, b.ids = fs, ids
	return nil
}

// openRoot opens the directory of a pool once more: package pool keeps its own.
func openRoot(p *pool.Pool) (*os.File, error) {
	root, err := os.OpenFile(p.Path(), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, state.Errorf(state.NotReady, "pool directory: %w", err)
	}
	// The same pool, and not what was mounted there meanwhile.
	var a, c unix.Stat_t
	if err := errors.Join(unix.Fstat(int(root.Fd()), &a), unix.Stat(p.Path(), &c), p.StillThere()); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if a.Dev != c.Dev || a.Ino != c.Ino {
		return nil, errors.Join(state.Errorf(state.NotReady, "pool %s changes while it is opened", p.Path()), root.Close())
	}
	return root, nil
}

// checkInherited refuses a pool whose directories are in a project themselves: the
// kernel moves nothing of another project into such a directory (EXDEV).
func checkInherited(root *os.File) error {
	for _, name := range []string{pool.VolumesDir, pool.ClaimsDir, pool.ImagesDir, pool.SnapshotsDir, pool.BuildDir, pool.TrashDir} {
		d, err := openAt(root, name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		id, inherited, err := quota.Project(d)
		_ = d.Close()
		if err != nil {
			return err
		}
		if inherited {
			return state.Errorf(state.Unsupported, "%s of the pool hands project %d on to what is in it, so that volumes cannot have projects of their own: "+
				"run `chattr -p 0 -P` on the pool's directory and on %s, %s, %s, %s, %s and %s in it", name, id, pool.VolumesDir, pool.ClaimsDir, pool.ImagesDir, pool.SnapshotsDir, pool.BuildDir, pool.TrashDir)
		}
	}
	return nil
}

// Features tells whether limits are enforced and whether blocks can be shared, as the
// filesystem was when the pool was opened.
func (b *Backend) Features() backend.Features { return b.features }

// Unenforced tells why limits are not enforced, and what to do about it; nil: they are.
func (b *Backend) Unenforced() error { return b.why }

// QuotaIDs gives out the project IDs of the pool's filesystem; nil where limits are not
// enforced. Pools of one filesystem share them.
func (b *Backend) QuotaIDs() backend.IDs {
	if b.ids == nil {
		return nil // not an interface that holds a nil
	}
	return b.ids
}

// Sweep is for the start, once the IDs that records have are held: see quota.IDs.
func (b *Backend) Sweep() (cleared int, err error) {
	if b.ids == nil {
		return 0, nil
	}
	return b.ids.Sweep()
}

// Resize moves the limit to the size of v.Spec, at once and online, and writes the
// record; both are durable when it returns.
func (b *Backend) Resize(ctx context.Context, v state.Volume) error {
	if v.Status.QuotaID != 0 {
		if err := b.checkEnforced(v); err != nil {
			return err
		}
		if err := b.limit(v); err != nil {
			return err
		}
	}
	return b.Backend.Resize(ctx, v)
}

// checkEnforced refuses what could not be held to its size. Enforcement may have been
// switched off since the pool was opened (quotaoff).
func (b *Backend) checkEnforced(v state.Volume) error {
	err := b.why
	if err == nil {
		err = b.fs.Enforced()
	}
	if err != nil {
		return fmt.Errorf("volume %s is to be limited by project %d: %w", v.ID, v.Status.QuotaID, err)
	}
	return nil
}

// limit puts the size of v.Spec in force.
func (b *Backend) limit(v state.Volume) error {
	bytes := v.Spec.CapacityBytes
	if err := b.fs.SetLimit(v.Status.QuotaID, bytes+Allowance(bytes), b.inodes(bytes)); err != nil {
		return fmt.Errorf("volume %s: %w", v.ID, err)
	}
	return nil
}

// Close releases the pool.
func (b *Backend) Close() error {
	return errors.Join(b.Backend.Close(), b.closeIDs(), b.root.Close())
}

func (b *Backend) closeIDs() error {
	if b.ids == nil {
		return nil
	}
	return b.ids.Close()
}
