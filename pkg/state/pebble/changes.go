package pebble

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Create stores a new record. One that is Pending does not wait for the disk.
func (r *records[S, U]) Create(ctx context.Context, id string, spec S) (obj state.Object[S, U], err error) {
	if !r.valid(id) {
		return obj, state.Errorf(state.Invalid, "%q cannot name a %s", id, r.kind)
	}
	err = r.exclusively(ctx, id, func() error {
		switch _, err := r.read(id); {
		case err == nil:
			return state.Errorf(state.AlreadyExists, "%s %q exists", r.kind, id)
		case state.ReasonOf(err) != state.NotFound:
			return err
		}
		// Changes of records that exist, and their removals, may still use what
		// room is left; they are what makes room again.
		if err := r.store.checkDisk(); err != nil {
			return err
		}
		obj = state.Object[S, U]{
			Meta: state.Meta{ID: id, UID: newUID(), Generation: 1, CreatedAt: time.Now().UTC()},
			Spec: spec,
		}
		obj, err = r.write(obj, unless(r.pending(&obj.Status)))
		return err
	})
	return obj, err
}

// UpdateSpec changes what shall be of a record. A record whose deletion was asked
// for cannot be changed: Busy.
func (r *records[S, U]) UpdateSpec(ctx context.Context, id string, change func(spec *S) error) (obj state.Object[S, U], err error) {
	err = r.exclusively(ctx, id, func() error {
		if obj, err = r.read(id); err != nil {
			return err
		}
		if obj.DeletedAt != nil {
			return state.Errorf(state.Busy, "%s %q is being deleted", r.kind, id)
		}
		changed, err := apply(&obj.Spec, change)
		if err != nil || !changed {
			return err
		}
		obj.Generation++
		obj, err = r.write(obj, pebbledb.Sync)
		return err
	})
	return obj, err
}

// UpdateStatus changes what is of a record.
func (r *records[S, U]) UpdateStatus(ctx context.Context, id string, change func(status *U) error, then ...func()) (obj state.Object[S, U], err error) {
	err = r.exclusively(ctx, id, func() error {
		if obj, err = r.read(id); err != nil {
			return err
		}
		pending := r.pending(&obj.Status)
		changed, err := apply(&obj.Status, change)
		if err != nil || !changed {
			return err
		}
		observedAgain := r.phase == nil
		obj, err = r.write(obj, unless(observedAgain || pending && r.pending(&obj.Status)), then...)
		return err
	})
	return obj, err
}

// Delete asks for the record's end.
//
// It does not wait for the disk, and needs not: whoever asked is answered after the
// agent's commit that the volume is Deleting (or its Finalize, if it never was
// Ready), which is durable and behind this one in the log. After a crash before that
// it is asked for again. If the agent has already taken the volume's directory away
// then, it lies in the trash under this record's ID and UID, durably, and the
// start-up scan takes that for what is lost here: it finishes the deletion.
func (r *records[S, U]) Delete(ctx context.Context, id string) error {
	return r.exclusively(ctx, id, func() error {
		obj, err := r.read(id)
		if err != nil || obj.DeletedAt != nil {
			return err
		}
		now := time.Now().UTC()
		obj.DeletedAt = &now
		obj.Generation++
		_, err = r.write(obj, pebbledb.NoSync)
		return err
	})
}

// Keep takes a deletion back.
func (r *records[S, U]) Keep(ctx context.Context, id, uid string) error {
	return r.exclusively(ctx, id, func() error {
		obj, err := r.readLife(id, uid)
		if err != nil || obj.DeletedAt == nil {
			return err
		}
		obj.DeletedAt = nil
		obj.Generation++
		_, err = r.write(obj, pebbledb.Sync)
		return err
	})
}

// Finalize removes the record. That need not wait for the disk if the record says
// Deleting, which is durable: the agent finishes with it after a crash too. Otherwise
// it waits, even if the record is Pending: a removal that was answered must not be
// undone, whatever became durable before it.
func (r *records[S, U]) Finalize(ctx context.Context, id, uid string) error {
	return r.exclusively(ctx, id, func() error {
		obj, err := r.readLife(id, uid)
		if err != nil {
			return err
		}
		key := r.prefix + id
		value, err := encode(key, obj)
		if err != nil {
			return state.Errorf(state.Defect, "encoding %s %q: %w", r.kind, id, err)
		}
		deleting := r.phase != nil && r.phase(&obj.Status) == state.Deleting
		err = r.commit(unless(deleting), func(b *pebbledb.Batch) error { return b.Delete([]byte(key), nil) })
		if err != nil {
			return err
		}
		r.changes.Publish(id, change{key: key, value: value, gone: true})
		return nil
	})
}

// unless returns how to commit a change that may or may not be lost.
func unless(mayBeLost bool) *pebbledb.WriteOptions {
	if mayBeLost {
		return pebbledb.NoSync
	}
	return pebbledb.Sync
}

// pending tells whether nobody was answered for a record with this status.
func (r *records[S, U]) pending(status *U) bool {
	return r.phase != nil && slices.Contains([]state.Phase{"", state.Pending}, r.phase(status))
}

// apply lets change edit half, and tells whether that made a difference.
func apply[T any](half *T, change func(*T) error) (changed bool, err error) {
	before, err := writer.Marshal(half)
	if err != nil {
		return false, err
	}
	if err := change(half); err != nil {
		return false, err
	}
	after, err := writer.Marshal(half)
	return !bytes.Equal(before, after), err
}

// newUID returns the UID of a new life.
func newUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}
