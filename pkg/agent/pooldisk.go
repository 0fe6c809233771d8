package agent

import (
	"context"
	"fmt"
	"reflect"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// mountDisk mounts and grows a pool's own disk, if it has one; where no pool was known so
// far, it is made and formatted first.
func mountDisk(ctx context.Context, o PoolOptions, first bool) error {
	if o.Disk == nil {
		return nil
	}
	d := *o.Disk
	d.Unlimited = o.Enforcement == state.EnforcementNone
	if err := d.Mount(ctx, o.Path, first); err != nil {
		return fmt.Errorf("pool %s: %w", o.Name, err)
	}
	return nil
}

// MountDisk mounts a pool's own disk, if it has one, without making or formatting
// anything. An error that wraps disk.ErrNothing says that there is no disk so far.
func MountDisk(ctx context.Context, o PoolOptions) error { return mountDisk(ctx, o, false) }

// keepMounted mounts the disk of a pool in use again, should somebody have unmounted it.
func (p *nodePool) keepMounted(ctx context.Context) {
	o := p.options()
	if o.Disk == nil || p.backend().StillThere() == nil {
		return
	}
	if err := mountDisk(ctx, o, false); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.gone == nil { // else it was told
			klog.ErrorS(err, "Mounting a pool's disk again failed; it will be tried again", "pool", o.Name, "path", o.Path)
		}
	}
}

// checkWritable notices that the filesystem of the pool's own disk has given up writing,
// as one does that loses writes: the disk below is full, say. Nobody else makes it so.
func (p *nodePool) checkWritable() {
	o := p.options()
	var st unix.Statfs_t
	if o.Disk == nil || unix.Statfs(o.Path, &st) != nil {
		return
	}
	readOnly := st.Flags&unix.ST_RDONLY != 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if readOnly && !p.readOnly {
		klog.ErrorS(nil, "The filesystem of a pool's disk has become read-only", "pool", o.Name, "path", o.Path, "disk", o.Disk.String())
	}
	p.readOnly = readOnly
}

// changeDisk has the pool's disk be as wanted: larger, that is. What cannot be done is
// told, and tried again; the pool goes on as it is.
func (p *nodePool) changeDisk(ctx context.Context, wanted PoolOptions) {
	has := p.options()
	if reflect.DeepEqual(has.Disk, wanted.Disk) {
		return
	}
	if p.backend() != nil {
		if err := mountDisk(ctx, wanted, false); err != nil {
			if p.diskTold != err.Error() {
				p.diskTold = err.Error()
				klog.ErrorS(err, "A pool's disk stays as it is; the change will be tried again", "pool", has.Name, "path", has.Path)
			}
			return
		}
	}
	p.diskTold = ""
	p.mu.Lock()
	p.o.Disk = wanted.Disk
	p.mu.Unlock()
}
