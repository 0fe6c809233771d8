package agent

import (
	"context"
	"os"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// restore has a volume built in the background that begins as a copy. A crash leaves a
// part of one in .tmp, which the start-up scan removes with the record, or has built
// anew, as with every volume that was not answered for.
func (a *Agent) restore(v state.Volume) {
	a.copies.start(v.UID, func(ctx context.Context) error { return a.create(ctx, v) }, func(err error) {
		if err != nil {
			a.retry(a.queue, v.ID, err, "volumeID", v.ID, "pool", v.Spec.Pool)
			return
		}
		a.queue.add(v.ID) // its deletion may have been asked for meanwhile
	})
}

// fill builds the volume: empty, or as a copy of its source.
func (a *Agent) fill(ctx context.Context, p *nodePool, b backend.Backend, v state.Volume) error {
	if v.Spec.Adopt != "" {
		return a.adopt(ctx, p, b, v)
	}
	if v.Spec.Source == nil {
		return b.Build(ctx, v)
	}
	from, release, err := a.openSource(ctx, b, v)
	if err != nil {
		return err
	}
	defer release()
	end, err := p.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := b.BuildFrom(ctx, v, from, nil); err != nil {
		return err
	}
	if v.Spec.Source.Kind == state.FromArchive {
		return stillArchived(b, v.Spec.Source.ID, from)
	}
	return nil
}

// stillArchived returns nil if what was copied was in the archive until the end. Nothing else
// keeps it there: it may be removed by hand, or because its time is over, and the copy would
// lack what was removed before it was reached.
func stillArchived(b backend.Backend, name string, copied *os.File) error {
	now, err := b.OpenArchived(name)
	if err != nil {
		return err
	}
	defer now.File.Close()
	was, err := copied.Stat()
	if err != nil {
		return err
	}
	is, err := now.File.Stat()
	if err == nil && !os.SameFile(was, is) {
		err = state.Errorf(state.NotFound, "%s was removed from the archive while it was copied", state.Quote(name))
	}
	return err
}

// openSource opens what a volume is to be a copy of, and keeps it from being removed
// until release is called.
func (a *Agent) openSource(ctx context.Context, b backend.Backend, v state.Volume) (from *os.File, release func(), err error) {
	switch source := v.Spec.Source; {
	case source.Kind == state.FromVolume:
		return openAsSource(ctx, a, a.o.Volumes, v, func(of state.Volume) error {
			return suits(v, of.Status.Phase, of.Spec.Node, of.Spec.Pool, of.Spec.AccessType, of.Status.CapacityBytes)
		}, b.Open)
	case source.Kind == state.FromSnapshot && a.o.Snapshots != nil:
		return openAsSource(ctx, a, a.o.Snapshots, v, func(of state.Snapshot) error {
			return suits(v, of.Status.Phase, of.Spec.Node, of.Spec.Pool, of.Spec.AccessType, of.Status.SizeBytes)
		}, b.OpenSnapshot)
	case source.Kind == state.FromArchive:
		from, err := b.OpenArchived(source.ID)
		if err != nil {
			return nil, nil, err
		}
		kept := from.Volume // that it is ready and lies here is sure
		if err := suits(v, state.Ready, v.Spec.Node, v.Spec.Pool, kept.Spec.AccessType, kept.Spec.CapacityBytes); err != nil {
			_ = from.File.Close()
			return nil, nil, err
		}
		return from.File, func() { _ = from.File.Close() }, nil
	default:
		return nil, nil, state.Errorf(state.Unsupported, "volume %s is to be made from a %s, which is not served here", v.ID, source.Kind)
	}
}

func openAsSource[S, U any](ctx context.Context, a *Agent, records state.Records[S, U], v state.Volume,
	check func(state.Object[S, U]) error, open func(state.Object[S, U]) (*os.File, error)) (_ *os.File, release func(), err error) {
	of, let, err := keep(ctx, a.copies, records, v.Spec.Source.ID, "volume "+v.ID)
	if err != nil {
		return nil, nil, err
	}
	f, err := (*os.File)(nil), check(of)
	if err == nil {
		f, err = open(of)
	}
	if err != nil {
		let()
		return nil, nil, err
	}
	return f, func() { let(); _ = f.Close() }, nil
}

// keep returns a record of which nothing is removed until release is called. NotFound if
// its removal was asked for before.
func keep[S, U any](ctx context.Context, c *copies, records state.Records[S, U], id, what string) (of state.Object[S, U], release func(), err error) {
	of, err = records.Get(ctx, id)
	if err != nil {
		return of, nil, err
	}
	uid := of.UID
	if release, err = c.read(uid, what); err != nil {
		return of, nil, err
	}
	// Only now is it sure that it stays as it is found.
	of, err = records.Get(ctx, id)
	if err == nil && (of.UID != uid || of.DeletedAt != nil) {
		err = state.Errorf(state.NotFound, "%q is being deleted", id)
	}
	if err != nil {
		release()
		return of, nil, err
	}
	return of, release, nil
}

// suits returns nil if a volume can be made from a source that is such.
func suits(v state.Volume, phase state.Phase, node, pool string, kind state.AccessType, bytes int64) error {
	switch source := v.Spec.Source; {
	case phase != state.Ready:
		return state.Errorf(state.Unavailable, "%s %s is not ready to be copied", source.Kind, source.ID)
	case node != v.Spec.Node || pool != v.Spec.Pool:
		return state.Errorf(state.Incompatible, "%s %s lies in pool %s of node %s, and a copy of it can lie nowhere else", source.Kind, source.ID, pool, node)
	case kind != v.Spec.AccessType:
		return state.Errorf(state.Incompatible, "%s %s is for %s access", source.Kind, source.ID, kind)
	case bytes > v.Spec.CapacityBytes:
		return state.Errorf(state.OutOfRange, "%s %s has %d bytes, and a copy no less", source.Kind, source.ID, bytes)
	}
	return nil
}
