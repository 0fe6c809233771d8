package mount

import (
	"context"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Publish mounts the directory that src is open on, with O_PATH or otherwise, at
// target; if it is open on a file, it is a block device with that file which is mounted. With exclusive it does so only if the volume is published nowhere else;
// and as long as such a publish is there, no other is made. (That a publish was
// exclusive is forgotten when the process ends; an exclusive one sees those that
// were there before.)
//
// It is done again without effect. What it made is gone if it fails.
//
// What src is open on is mounted, wherever that is by now: who deletes volumes at
// the same time must see to it that src was not opened before a Retire whose
// release came before this call.
func (t *Table) Publish(ctx context.Context, volumeID string, src *os.File, target string, o Options, exclusive bool) error {
	at, err := t.canonical(target)
	if err != nil {
		return err
	}
	release, err := t.exclude(ctx, volumeID, at)
	if err != nil {
		return err
	}
	defer release()

	if t.isRetired(volumeID) {
		return state.Errorf(state.Busy, "volume %s is being deleted", state.Quote(volumeID))
	}
	from, err := t.kernel.source(src)
	if err != nil {
		return sourceError(volumeID, err)
	}
	if from.kind != directory && from.kind != regular {
		return state.Errorf(state.Unsupported, "volume %s is %s; only directories and image files are published", state.Quote(volumeID), from.kind)
	}
	if err := t.alone(volumeID, at, exclusive); err != nil {
		return err
	}
	p, err := t.kernel.open(at, from.kind)
	if err != nil {
		return targetError(target, err)
	}
	defer p.close()
	r := request{volumeID, target, at, src, from, o}
	repeated, err := t.settle(ctx, r, p)
	if err != nil {
		p.undo()
		return err
	}
	if repeated && t.known(volumeID)[at].exclusive {
		exclusive = true
	}
	t.enter(volumeID, at, publish{id: from.id, exclusive: exclusive})
	return nil
}

// request is a publish that is asked for.
type request struct {
	volumeID, target string
	at               string // target without the links of a trusted root
	src              *os.File
	from             source // what src is open on
	o                Options
}

// settle sees to it that the volume is at the target: p, which exists. It tells
// whether that was so before.
func (t *Table) settle(ctx context.Context, r request, p place) (repeated bool, err error) {
	f, err := p.look()
	switch {
	case err != nil:
		return false, targetError(r.target, err)
	case f.mounted && f.id == r.from.id:
		return true, t.agree(r, p, f)
	case f.mounted:
		return false, state.Errorf(state.InUse, "target_path %s: %s is there", state.Quote(r.target), t.occupant(r.at))
	case f.kind == missing:
		return false, targetError(r.target, unix.ENOENT)
	case f.kind != r.from.kind:
		return false, state.Errorf(state.Invalid, "target_path: got %s, which is %s; it takes %s that is empty, or a path where nothing is",
			state.Quote(r.target), f.kind, r.from.kind)
	}
	empty, err := p.empty()
	if err != nil {
		return false, targetError(r.target, err)
	}
	if !empty {
		return false, state.Errorf(state.InUse, "target_path %s: %s is there that is not empty; a mount would hide what is in it", state.Quote(r.target), f.kind)
	}
	if !r.o.ReadOnly && r.from.attrs&unix.MOUNT_ATTR_RDONLY != 0 {
		return false, state.Errorf(state.NotReady, "volume %s: its pool is mounted read-only, or its filesystem became so after an error; "+
			"it can be published read-only", state.Quote(r.volumeID))
	}
	crash.Step(crash.PublishChecked)
	if r.from.kind == regular {
		err = t.attachDevice(ctx, r, p)
	} else {
		err = p.attach(r.src, r.o)
	}
	if err != nil {
		return false, targetError(r.target, err)
	}
	crash.Step(crash.PublishMounted)
	return false, nil
}

// agree compares a publish that is there with what is asked for.
func (t *Table) agree(r request, p place, f found) error {
	actual, err := p.attributes()
	if err != nil {
		return targetError(r.target, err)
	}
	if r.from.kind == regular {
		if actual != r.o.merged()&unix.MOUNT_ATTR_RDONLY {
			return state.Errorf(state.AlreadyExists, "target_path %s: volume %s is published there as %s; asked for was %s",
				state.Quote(r.target), state.Quote(r.volumeID), describe(unix.MOUNT_ATTR_RDONLY, actual), r.o)
		}
		return nil
	}
	if actual&r.from.attrs&unix.MOUNT_ATTR_RDONLY != 0 {
		// The filesystem is read-only, so every mount of it looks so. Whether this
		// one is, whatever becomes of the filesystem, only the long list tells.
		mounts, err := t.mounts()
		if err != nil {
			return err
		}
		for _, m := range mounts {
			if m.ID == f.mountID && !slices.Contains(strings.Split(m.Options, ","), "ro") {
				actual &^= unix.MOUNT_ATTR_RDONLY
			}
		}
	}
	if !r.o.met(actual, r.from.attrs) {
		return state.Errorf(state.AlreadyExists, "target_path %s: volume %s is published there as %s; asked for was %s",
			state.Quote(r.target), state.Quote(r.volumeID), describeAll(actual), r.o)
	}
	return nil
}

// alone fails if the volume is published elsewhere and one of the two is exclusive.
func (t *Table) alone(volumeID, at string, exclusive bool) error {
	demanding := exclusive
	others := false
	for target, p := range t.known(volumeID) {
		if target != at {
			others = true
			demanding = demanding || p.exclusive
		}
	}
	if !others || !demanding {
		return nil
	}
	live, err := t.live(volumeID)
	if err != nil {
		return err
	}
	for target, p := range live {
		if target != at && (exclusive || p.exclusive) {
			return state.Errorf(state.InUse, "volume %s is published at %s, and is for one target at a time", state.Quote(volumeID), state.Quote(target))
		}
	}
	return nil
}

func sourceError(volumeID string, err error) error {
	return state.Errorf(reasonOf(err), "volume %s: its directory: %w", state.Quote(volumeID), err)
}
