package projectquota

import (
	"context"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Usage tells what the filesystem has counted for the volume's project, in constant
// time: every block that the volume takes, those of directories and extent maps too.
// The total is the size that was promised; what is available is bounded by the
// filesystem's free space.
func (b *Backend) Usage(ctx context.Context, v state.Volume) (state.Usage, error) {
	if v.Status.QuotaID == 0 || b.why != nil {
		return b.Backend.Usage(ctx, v)
	}
	f, err := b.Open(v) // the project outlives a volume that is lost
	if err != nil {
		return state.Usage{}, err
	}
	_ = f.Close()
	q, err := b.fs.Usage(v.Status.QuotaID)
	if err != nil {
		return state.Usage{}, err
	}
	fs, err := b.Statfs()
	if err != nil {
		return state.Usage{}, err
	}
	size := v.Status.CapacityBytes
	u := state.Usage{
		TotalBytes:      size,
		UsedBytes:       q.Bytes,
		AvailableBytes:  max(0, min(size-q.Bytes, fs.AvailableBytes)),
		UsedInodes:      q.Inodes,
		AvailableInodes: fs.AvailableInodes,
	}
	if q.MaxInodes > 0 {
		u.AvailableInodes = max(0, min(q.MaxInodes-q.Inodes, fs.AvailableInodes))
	}
	u.TotalInodes = u.UsedInodes + u.AvailableInodes
	return u, nil
}
