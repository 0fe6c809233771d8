package projectquota

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Build makes an empty directory with the limit, owner and mode that v asks for. Where
// an earlier attempt left files of the same project, these count until they are purged.
func (b *Backend) Build(ctx context.Context, v state.Volume) error {
	if v.Status.QuotaID == 0 {
		return b.Backend.Build(ctx, v)
	}
	if err := plain.Serves(v); err != nil {
		return err
	}
	if err := b.checkEnforced(v); err != nil {
		return err
	}
	mkdir := func(dirfd int, name string) error { return unix.Mkdirat(dirfd, name, 0o700) }
	return b.Pool.Build(v, mkdir, func(d *os.File) error {
		if err := quota.SetProject(d, v.Status.QuotaID); err != nil {
			return fmt.Errorf("volume %s: %w", v.ID, err)
		}
		if err := b.limit(v); err != nil {
			return err
		}
		return plain.SetOwner(d, v)
	})
}
