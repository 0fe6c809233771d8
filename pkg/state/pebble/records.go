package pebble

import (
	"context"
	"errors"
	"strings"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/keylock"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/notify"
)

// records are all records of one kind. Calls for one record come one after the
// other; calls for different records share nothing but the commits. A change
// function must not call the store.
//
// A change is durable when it is told of, with three exceptions: one of a record
// that is Pending before and after it, because nobody was answered yet; one of a
// node's Status, which is observed again at every start; and the first and the last
// step of a deletion, which is durable in its middle. See Delete and Finalize.
type records[S, U any] struct {
	store  *Store
	kind   string // for messages
	prefix string // of the keys
	valid  func(id string) bool
	// phase is nil for records that have none: of nodes.
	phase func(status *U) state.Phase
	// committed is called when a durable commit has ended; it may be nil.
	committed func()

	locks   keylock.Locks
	changes notify.Notifier[change, state.Event[S, U]]
}

// change is what happened to a record: its value now, or its last if it is gone.
// Nobody changes the bytes, so that many may read them.
type change struct {
	key   string
	value []byte
	gone  bool
}

// Get returns the record as it is now. It waits for a change that is being
// committed: what it returns may be the reason for an answer, and must last.
func (r *records[S, U]) Get(ctx context.Context, id string) (obj state.Object[S, U], err error) {
	err = r.exclusively(ctx, id, func() error {
		obj, err = r.read(id)
		return err
	})
	return obj, err
}

// Known is Get: nobody else writes.
func (r *records[S, U]) Known(ctx context.Context, id string) (state.Object[S, U], error) {
	return r.Get(ctx, id)
}

// Watch tells of every change from now on, until ctx ends or the store is closed.
func (r *records[S, U]) Watch(ctx context.Context) <-chan state.Event[S, U] {
	return r.changes.Watch(ctx, func(c change) (e state.Event[S, U], ok bool) {
		obj, err := decode[S, U](c.key, c.value)
		if err != nil {
			klog.ErrorS(err, "Cannot tell of a change", "key", c.key) // a defect: it was encoded a moment ago
			return e, false
		}
		return state.Event[S, U]{Object: obj, Gone: c.gone}, true
	})
}

// Wake sends on woken after every change of one record, and when the store is closed.
func (r *records[S, U]) Wake(id string) (woken <-chan struct{}, stop func()) {
	return r.changes.Wake(id)
}

// exclusively runs do while no other call for the record does anything.
func (r *records[S, U]) exclusively(ctx context.Context, id string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.store.enter(); err != nil {
		return err
	}
	defer r.store.life.RUnlock()
	if !r.valid(id) {
		return r.notFound(id)
	}
	unlock, err := r.locks.Lock(ctx, id)
	if err != nil {
		return state.Errorf(state.ReasonOf(err), "waiting for the work on %s %q: %w", r.kind, id, err)
	}
	defer unlock()
	return do()
}

// read returns the record; the caller holds its lock.
func (r *records[S, U]) read(id string) (obj state.Object[S, U], err error) {
	key := r.prefix + id
	value, closer, err := r.store.db.Get([]byte(key))
	switch {
	case errors.Is(err, pebbledb.ErrNotFound):
		return obj, r.notFound(id)
	case err != nil:
		return obj, r.readError(key, err)
	}
	obj, err = decode[S, U](key, value)
	if err != nil {
		err = r.corrupt(key, err)
	}
	if e := closer.Close(); err == nil && e != nil {
		err = r.readError(key, e)
	}
	return obj, err
}

// readLife returns the record if it has this UID.
func (r *records[S, U]) readLife(id, uid string) (obj state.Object[S, U], err error) {
	obj, err = r.read(id)
	if err == nil && obj.UID != uid {
		err = state.Errorf(state.NotFound, "%s %q has another life than %s", r.kind, id, uid)
	}
	return obj, err
}

// write stores the record, tells of it, and returns what was stored, which shares
// nothing with obj. The caller holds the record's lock, so that the changes of one
// record are told in their order.
func (r *records[S, U]) write(obj state.Object[S, U], how *pebbledb.WriteOptions, then ...func()) (stored state.Object[S, U], err error) {
	key := r.prefix + obj.ID
	value, err := encode(key, obj)
	if err == nil {
		stored, err = decode[S, U](key, value)
	}
	if err != nil {
		return stored, state.Errorf(state.Defect, "encoding %s %q: %w", r.kind, obj.ID, err)
	}
	err = r.commit(how, func(b *pebbledb.Batch) error { return b.Set([]byte(key), value, nil) })
	if err != nil {
		return stored, err
	}
	for _, f := range then {
		f()
	}
	r.changes.Publish(obj.ID, change{key: key, value: value})
	return stored, nil
}

func (r *records[S, U]) commit(how *pebbledb.WriteOptions, edit func(*pebbledb.Batch) error) error {
	err := r.store.commit(how, edit)
	if err == nil && how.Sync && r.committed != nil {
		r.committed()
	}
	return err
}

func (r *records[S, U]) notFound(id string) error {
	return state.Errorf(state.NotFound, "there is no %s %q", r.kind, id)
}

func (r *records[S, U]) readError(key string, err error) error {
	if pebbledb.IsCorruptionError(err) {
		return r.corrupt(key, err)
	}
	return state.Errorf(state.Unavailable, "reading %s %q: %w", r.kind, strings.TrimPrefix(key, r.prefix), err)
}

func (r *records[S, U]) corrupt(key string, err error) error {
	return damaged(r.store.dir, "the record of %s %q does not read back as it was written: %w", r.kind, strings.TrimPrefix(key, r.prefix), err)
}
