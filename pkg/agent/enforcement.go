package agent

import (
	"cmp"
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func enforcementOf(o PoolOptions) state.Enforcement {
	return cmp.Or(o.Enforcement, state.EnforcementPreferred)
}

// mustEnforce tells that the pool takes no volumes, for want of limits. p.mu is held.
func (p *nodePool) mustEnforce() bool {
	return p.o.Enforcement == state.EnforcementRequired && p.b != nil && !p.b.Features().EnforcesLimits
}

// unenforced tells why volumes of a pool are not held to their size, and what to mount
// or format; "": they are, or are not to be.
func unenforced(b backend.Backend, o PoolOptions) string {
	f := b.Features()
	if f.EnforcesLimits || o.Enforcement == state.EnforcementNone {
		return ""
	}
	if o.Disk != nil && f.Filesystem == "xfs" {
		return "this kernel has no project quota of XFS (CONFIG_XFS_QUOTA), or the pool's disk was mounted without prjquota: " +
			"unmount it, so that the driver mounts it anew, run another kernel, or declare filesystem: btrfs for a new pool"
	}
	if limits, ok := b.(interface{ Unenforced() error }); ok {
		if err := limits.Unenforced(); err != nil {
			return err.Error()
		}
	}
	return fmt.Sprintf("the filesystem %s has no limits that this driver knows: use XFS or ext4 mounted with prjquota, btrfs with quotas, or declare an image for the pool", f.Filesystem)
}
