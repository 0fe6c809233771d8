package btrfs

import (
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Referenced returns how many bytes the qgroup of a mount volume counts; ok is false
// where there is none to ask.
func (b *Backend) Referenced(v state.Volume) (bytes int64, ok bool, err error) {
	if !b.qgroups.on || v.Spec.AccessType == state.BlockAccess {
		return 0, false, nil
	}
	d, err := b.OpenDirectory(v)
	if err != nil {
		return 0, false, err
	}
	defer d.Close()
	id, err := subvolumeID(d)
	if err == nil {
		bytes, err = b.qgroups.used(id)
	}
	if err != nil {
		return 0, false, fmt.Errorf("usage of volume %s: %w", v.ID, err)
	}
	return bytes, true, nil
}

// QuotaOn tells whether the filesystem that a directory is on holds subvolumes to their
// limits: its quotas are on, and not being counted anew.
func QuotaOn(path string) (bool, error) {
	q, err := openQgroups(path)
	if err != nil {
		return false, err
	}
	return q.on, q.close()
}
