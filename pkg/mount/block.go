package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// A block volume is an image file. All its targets show one loop device, which it has
// from the first publish to the last unpublish, and which is read-only if they are: a
// mount's flag says nothing about writes to a device, and two devices of one file would
// not see each other's writes.

// deviceOptions are those of the mount of a device's node. The /dev it is cloned from
// may forbid the use of devices in it, or not.
var deviceOptions = Options{asked: unix.MOUNT_ATTR_NODEV}

// attachDevice mounts the volume's loop device, with one made if it has none.
func (t *Table) attachDevice(ctx context.Context, r request, p place) error {
	live, err := t.live(r.volumeID)
	if err != nil {
		return err
	}
	a, err := t.device(ctx, r, len(live) > 0)
	if err != nil {
		return err
	}
	crash.Step(crash.PublishAttached)
	if err := mountDevice(a, p); err != nil {
		if len(live) > 0 {
			a.Close()
			return err
		}
		return errors.Join(err, a.Detach(context.WithoutCancel(ctx)))
	}
	a.Close()
	return nil
}

func mountDevice(a *loop.Attachment, p place) error {
	node, err := os.OpenFile(loop.Path(a.Number), unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer node.Close()
	return p.attach(node, deviceOptions)
}

// device returns the volume's loop device, held open: the one it has, or else a new one.
// One that a crash has left behind, and which does not fit, is freed first.
func (t *Table) device(ctx context.Context, r request, published bool) (*loop.Attachment, error) {
	all, err := t.attachments(r.volumeID, map[identity]bool{r.from.id: true})
	if err != nil {
		return nil, err
	}
	switch {
	case len(all) > 1:
		defer loop.Close(all)
		return nil, state.Errorf(state.InUse, "volume %s: its image is attached to %s and to %s, which would not see each other's writes: free one of them (losetup -d)",
			state.Quote(r.volumeID), loop.Path(all[0].Number), loop.Path(all[1].Number))
	case len(all) == 1 && all[0].ReadOnly == r.o.ReadOnly:
		// A Resize may have ended before the device grew.
		if err := errors.Join(all[0].Keep(), all[0].Grow()); err != nil {
			all[0].Close()
			return nil, err
		}
		return all[0], nil
	case len(all) == 1 && published:
		defer loop.Close(all)
		return nil, state.Errorf(state.InUse, "volume %s is published %s elsewhere; a block volume is read-only at all of its targets, or at none",
			state.Quote(r.volumeID), describe(unix.MOUNT_ATTR_RDONLY, readOnlyAttr(all[0].ReadOnly)))
	case len(all) == 1:
		if err := all[0].Detach(ctx); err != nil {
			return nil, fmt.Errorf("volume %s: %w", state.Quote(r.volumeID), err)
		}
	}
	return t.loops.Attach(ctx, r.src, loop.Options{ReadOnly: r.o.ReadOnly})
}

func readOnlyAttr(readOnly bool) attrs {
	if readOnly {
		return unix.MOUNT_ATTR_RDONLY
	}
	return 0
}

// attachments returns the devices that the volume has, held open. Its image is known by
// its identity; its name only tells which devices to look at.
func (t *Table) attachments(volumeID string, known map[identity]bool) ([]*loop.Attachment, error) {
	named, err := t.loops.Find(func(path string) bool { return volumeNamed(filepath.Base(path)) == volumeID })
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(named, func(a *loop.Attachment) bool {
		other := !known[fileIdentity(a.File)]
		if other {
			a.Close()
		}
		return other
	}), nil
}

func fileIdentity(f loop.File) identity { return identity{f.Dev, f.Ino} }

// volumeNamed returns the volume whose image may have a name: ID in its place, ID.UID
// (and more) where it is built or removed.
func volumeNamed(base string) string {
	id, _, _ := strings.Cut(base, ".")
	return id
}

// isBlock tells whether a volume's source, which may be nil, is an image.
func (t *Table) isBlock(source *os.File) bool {
	if source == nil {
		return false
	}
	from, err := t.kernel.source(source)
	return err == nil && from.kind == regular
}

// free frees the volume's loop device unless it is published.
func (t *Table) free(ctx context.Context, volumeID string, known map[identity]bool) error {
	live, err := t.live(volumeID)
	if err != nil || len(live) > 0 {
		return err
	}
	all, err := t.attachments(volumeID, known)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range all {
		errs = append(errs, a.Detach(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return state.Errorf(reasonOf(err), "volume %s: %w", state.Quote(volumeID), err)
	}
	if len(all) > 0 {
		crash.Step(crash.UnpublishFreed)
	}
	return nil
}

// Grow gives the volume's loop device, if it has one, the size that its image, which is
// open, has by now.
func (t *Table) Grow(ctx context.Context, volumeID string, image *os.File) error {
	release, err := t.volumes.take(ctx, "volume", volumeID)
	if err != nil {
		return err
	}
	defer release()
	from, err := t.kernel.source(image)
	if err != nil {
		return sourceError(volumeID, err)
	}
	all, err := t.attachments(volumeID, map[identity]bool{from.id: true})
	if err != nil {
		return err
	}
	defer loop.Close(all)
	for _, a := range all {
		if err := a.Grow(); err != nil {
			return fmt.Errorf("volume %s: %w", state.Quote(volumeID), err)
		}
	}
	return nil
}

// blockVolume tells which volume of the pools a mount shows the loop device of: one of
// a node /loopN of a devtmpfs, or of a /dev that a container's runtime made.
func (t *Table) blockVolume(m *mountinfo.Info, pools []pool) (id string, ok bool) {
	number, ok := loop.NumberIn(strings.TrimPrefix(m.Root, "/"))
	if !ok || m.FSType != "devtmpfs" && m.FSType != "tmpfs" {
		return "", false
	}
	a, err := t.loops.Open(number)
	if err != nil {
		return "", false // it has no file (any more)
	}
	defer a.Close()
	return volumeOf(a, pools)
}

// imageDirs are those in which a pool's images lie.
var imageDirs = []string{"images", ".tmp", ".trash"}

// volumeOf tells which volume's image a device has, if it is in one of the pools.
func volumeOf(a *loop.Attachment, pools []pool) (id string, ok bool) {
	base, deleted := a.Name()
	if id = volumeNamed(base); !state.ValidID(id) {
		return "", false
	}
	for _, p := range pools {
		if rest, below := beneath(p.dir, a.FilePath()); deleted && below && slices.Contains(imageDirs, filepath.Dir(rest)) {
			return id, true
		}
		for _, dir := range imageDirs {
			var st unix.Stat_t
			if unix.Lstat(filepath.Join(p.dir, dir, base), &st) == nil && (loop.File{Dev: st.Dev, Ino: st.Ino}) == a.File {
				return id, true
			}
		}
	}
	return "", false
}

// freeUnusedWait bounds what a start waits for a device that others still have open.
const freeUnusedWait = 100 * time.Millisecond

// freeUnused frees the loop devices that a crash has left behind: those with an image of
// one of these pools that is published nowhere. No other device is opened.
func (t *Table) freeUnused(pools []pool) error {
	all, err := t.loops.Find(func(path string) bool {
		base := filepath.Base(path)
		return state.ValidID(volumeNamed(base)) && slices.ContainsFunc(pools, func(p pool) bool {
			rest, below := beneath(p.dir, path)
			return below && slices.Contains(imageDirs, filepath.Dir(rest)) || slices.ContainsFunc(imageDirs, func(dir string) bool {
				var st unix.Stat_t
				return unix.Lstat(filepath.Join(p.dir, dir, base), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
			})
		})
	})
	if err != nil {
		return err
	}
	for _, a := range all {
		t.freeIfUnused(a, pools)
	}
	return nil
}

func (t *Table) freeIfUnused(a *loop.Attachment, pools []pool) {
	id, ours := volumeOf(a, pools)
	release, _ := t.volumes.try(id)
	if !ours || release == nil { // another's; or it is being published
		if release != nil {
			release()
		}
		a.Close()
		return
	}
	defer release()
	live, err := t.live(id)
	if err != nil || len(live) > 0 {
		a.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), freeUnusedWait)
	defer cancel()
	if err := a.Detach(ctx); err != nil {
		klog.InfoS("A loop device of a volume that is published nowhere is still open", "volumeID", id, "device", loop.Path(a.Number), "err", err)
		return
	}
	klog.InfoS("Freed a loop device that a crash had left behind", "volumeID", id, "device", loop.Path(a.Number))
}
