package mount

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Unpublish unmounts the volume from target, as often as it is mounted on top
// there, and removes the target if that is an empty directory then, or, for a block
// volume, an empty file. The last publish of a block volume takes its device along:
// InUse while processes have that open. Success means
// that the volume is not (any more) what is seen at target; what else is there is
// left alone.
//
// The source is the volume's directory, opened as for Publish; nil if it is gone
// or cannot be opened. The volume is then known by its publishes in the table, or by
// its path in the kernel's list of mounts, which also serves when its filesystem has
// shut down and answers nothing.
func (t *Table) Unpublish(ctx context.Context, volumeID string, source *os.File, target string) error {
	at, err := t.canonical(target)
	if err != nil {
		return err
	}
	release, err := t.exclude(ctx, volumeID, at)
	if err != nil {
		return err
	}
	defer release()

	log := klog.FromContext(ctx).V(2)
	known, err := t.identities(volumeID, source)
	if err != nil {
		log.Info("Unpublishing a volume whose directory cannot be looked at", "volume", volumeID, "err", err)
		known, _ = t.identities(volumeID, nil)
	}
	isBlock := t.isBlock(source)
	p, err := t.kernel.open(at, nothing)
	if err != nil {
		if !nowhere(err) {
			return targetError(target, err)
		}
		log.Info("There is no such target; nothing is published there", "volume", volumeID, "target", target, "err", err)
		if err := t.check(volumeID, at); err != nil || !isBlock {
			return err
		}
		return t.free(ctx, volumeID, known)
	}
	defer p.close()

	detached := false
	for last := 0; ; {
		mine, f, err := t.isMine(volumeID, at, p, known)
		if err != nil {
			return targetError(target, err)
		}
		if !mine {
			if detached && !f.mounted {
				t.forget(volumeID, at)
			} else if err := t.check(volumeID, at); err != nil {
				return err
			}
			if isBlock {
				if err := t.free(ctx, volumeID, known); err != nil {
					return err
				}
			}
			return tidy(log, volumeID, target, p, f, isBlock)
		}
		isBlock = isBlock || f.kind == device
		switch err := p.detach(); {
		case err == nil:
			detached = true
			crash.Step(crash.UnpublishDetach)
		case errors.Is(err, unix.EINVAL) && f.mountID != last:
			last = f.mountID // no mount any more: someone was faster; look again, once
		default:
			return detachError(volumeID, target, err)
		}
	}
}

// check corrects the table where it names a publish that is not to be seen. It may
// be hidden, or have moved with its parent: to forget it would let the volume be
// deleted while it is mounted.
func (t *Table) check(volumeID, at string) error {
	if _, named := t.known(volumeID)[at]; !named {
		return nil
	}
	_, err := t.live(volumeID)
	return err
}

// isMine tells whether the topmost mount at a target is of the volume.
func (t *Table) isMine(volumeID, at string, p place, known map[identity]bool) (bool, found, error) {
	f, lookErr := p.look()
	if lookErr == nil && !f.mounted {
		return false, f, nil
	}
	if lookErr == nil && known[f.id] {
		return true, f, nil
	}
	if _, named := t.known(volumeID)[at]; lookErr == nil && named && f.kind == device && f.id == (identity{}) {
		return true, f, nil // somebody else took the file from the device
	}
	// A foreign mount; or one of a filesystem that fails; or one that came into
	// being behind the table's back.
	mounts, err := t.mounts()
	if err != nil {
		return false, f, err
	}
	if lookErr != nil {
		top := slices.IndexFunc(mounts, func(m *mountinfo.Info) bool {
			return m.Mountpoint == at && !slices.ContainsFunc(mounts, func(above *mountinfo.Info) bool {
				return above.Mountpoint == at && above.Parent == m.ID
			})
		})
		if top < 0 {
			return false, f, lookErr
		}
		f = found{kind: directory, mounted: true, mountID: mounts[top].ID}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(mounts, func(m *mountinfo.Info) bool { return m.ID == f.mountID })
	if i < 0 {
		return false, f, nil
	}
	for _, pool := range t.pools {
		if id, ok := pool.volume(mounts[i]); ok && id == volumeID {
			return true, f, nil
		}
	}
	return false, f, nil
}

// tidy removes the target where nothing of the volume is any more.
func tidy(log klog.Logger, volumeID, target string, p place, f found, isBlock bool) error {
	removable := f.kind == directory || f.kind == missing || f.kind == regular && isBlock
	if f.mounted || !removable {
		log.Info("What is at the target is not the volume; it stays", "volume", volumeID, "target", target,
			"kind", string(f.kind), "mounted", f.mounted)
		return nil
	}
	err := p.remove(f.kind)
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		crash.Step(crash.UnpublishRemoved)
		return nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EBUSY):
		log.Info("The target is not empty; it stays", "volume", volumeID, "target", target, "err", err)
		return nil
	}
	return targetError(target, err)
}

func detachError(volumeID, target string, err error) error {
	if errors.Is(err, unix.EBUSY) {
		return state.Errorf(state.InUse, "target_path %s: processes still use volume %s there, or something is mounted in it: %w",
			state.Quote(target), state.Quote(volumeID), err)
	}
	return targetError(target, err)
}

// nowhere tells whether a failure to open a target's parent means that the volume
// cannot be there: no path leads there without a symbolic link.
func nowhere(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
