package kube

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubejson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube/v1alpha1"
)

// Create stores a new record.
func (r *records[S, U, O]) Create(ctx context.Context, id string, spec S) (record state.Object[S, U], err error) {
	if !r.valid(id) {
		return record, state.Errorf(state.Invalid, "%s cannot name a %s", state.Quote(id), r.kind)
	}
	err = r.exclusively(ctx, id, func() error {
		obj := r.empty()
		*obj.Desired() = spec
		obj.SetRecordID(id)
		obj.SetFinalizers([]string{v1alpha1.Finalizer})
		err := call(ctx, r.doing("creating", id), func(ctx context.Context) error {
			defer r.store.timed(time.Now())
			obj, err = r.api.Create(ctx, obj, metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return err
		}
		r.cache.answered(obj)
		record = copyOf[S, U](obj)
		return nil
	})
	return record, err
}

// UpdateSpec changes what shall be of a record. A record whose deletion was asked for
// cannot be changed: Busy.
func (r *records[S, U, O]) UpdateSpec(ctx context.Context, id string, change func(spec *S) error) (record state.Object[S, U], err error) {
	return r.update(ctx, id, half[O]{
		edit: func(obj O) error {
			if recordOf[S, U](obj).DeletedAt != nil {
				return state.Errorf(state.Busy, "%s %s is being deleted", r.kind, state.Quote(id))
			}
			return change(obj.Desired())
		},
	})
}

// UpdateStatus changes what is of a record.
func (r *records[S, U, O]) UpdateStatus(ctx context.Context, id string, change func(status *U) error, then ...func()) (record state.Object[S, U], err error) {
	return r.update(ctx, id, half[O]{
		subresources: []string{"status"},
		edit: func(obj O) error {
			if err := change(obj.Observed()); err != nil {
				return err
			}
			obj.Conclude()
			return nil
		},
		then: then,
	})
}

// Delete asks for the record's end. It does so too for an object that a person has
// deleted: what the agent has refused then is so asked for anew.
func (r *records[S, U, O]) Delete(ctx context.Context, id string) error {
	_, err := r.update(ctx, id, half[O]{edit: func(obj O) error {
		if deletion := obj.Deletion(); deletion.DeletedAt == nil {
			now := metav1.NewMicroTime(time.Now().UTC())
			deletion.DeletedAt = &now
		}
		return nil
	}})
	return err
}

// Keep takes a deletion back. It cannot take back that a person has deleted the object
// with kubectl: that stays asked for, and the agent does it when it is asked next.
func (r *records[S, U, O]) Keep(ctx context.Context, id, uid string) error {
	_, err := r.update(ctx, id, half[O]{edit: func(obj O) error {
		if uidOf(obj) != uid {
			return r.otherLife(id, uid)
		}
		obj.Deletion().DeletedAt = nil
		return nil
	}})
	return err
}

// Finalize removes the record: first the finalizer, then the object. A crash in
// between leaves a record that is finalized again.
func (r *records[S, U, O]) Finalize(ctx context.Context, id, uid string) error {
	return r.exclusively(ctx, id, func() error {
		obj, err := r.find(ctx, id)
		if err == nil && uidOf(obj) != uid {
			obj, err = r.read(ctx, id) // what is known may be of the life before
		}
		if err != nil {
			return err
		}
		obj, err = r.patch(ctx, obj, half[O]{edit: func(obj O) error {
			if uidOf(obj) != uid {
				return r.otherLife(id, uid)
			}
			obj.SetFinalizers(slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == v1alpha1.Finalizer }))
			return nil
		}})
		if err != nil {
			return err
		}
		if obj.GetDeletionTimestamp() == nil {
			live := obj.GetUID()
			err = call(ctx, r.doing("removing", id), func(ctx context.Context) error {
				return r.api.Delete(ctx, obj.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &live}})
			})
			if reason := state.ReasonOf(err); err != nil && reason != state.NotFound && reason != state.Busy {
				return err // Busy is that of another life: this one is gone
			}
		}
		if others := obj.GetFinalizers(); len(others) > 0 {
			return state.Errorf(state.Busy, "%s %s is held by finalizers of others: %q", r.kind, state.Quote(id), others)
		}
		r.cache.removed(obj)
		return nil
	})
}

// half is a change of one half of an object, or of its finalizers.
type half[O any] struct {
	edit         func(obj O) error
	subresources []string // whose write it is
	then         []func() // called when it is stored, before it is told of
}

// update changes a record and returns it.
func (r *records[S, U, O]) update(ctx context.Context, id string, h half[O]) (record state.Object[S, U], err error) {
	err = r.exclusively(ctx, id, func() error {
		obj, err := r.find(ctx, id)
		if err != nil {
			return err
		}
		if obj, err = r.patch(ctx, obj, h); err != nil {
			return err
		}
		record = copyOf[S, U](obj)
		return nil
	})
	return record, err
}

// conflicts is how often a change is made again because another process has written
// the object, and how long is waited before: the other half has one writer, too.
var conflicts = wait.Backoff{Duration: 2 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 12, Cap: time.Second}

// patch makes a change of an object, and again of what it has become if another
// process was faster. It returns the object as it is then.
func (r *records[S, U, O]) patch(ctx context.Context, obj O, h half[O]) (O, error) {
	id := obj.RecordID()
	retry := conflicts
	for {
		edited := obj.DeepCopyObject().(O)
		if err := h.edit(edited); err != nil {
			return obj, err
		}
		patch, err := difference(obj, edited)
		if err != nil {
			return obj, state.Errorf(state.Defect, "%s: %w", r.doing("encoding", id), err)
		}
		if patch == nil {
			return obj, nil
		}
		stored, err := r.send(ctx, obj, patch, h)
		switch reason := state.ReasonOf(err); {
		case err == nil:
			return stored, nil
		case reason == state.NotFound:
			return obj, r.notFound(id)
		case reason != state.Busy || retry.Steps == 0:
			return obj, err
		}
		select {
		case <-time.After(retry.Step()):
		case <-ctx.Done():
			return obj, failure(ctx, r.doing("changing", id), err)
		}
		if obj, err = r.read(ctx, id); err != nil {
			return obj, err
		}
	}
}

// send writes a patch. What the watch tells of the object meanwhile waits until the
// functions in then have run.
func (r *records[S, U, O]) send(ctx context.Context, obj O, patch []byte, h half[O]) (stored O, err error) {
	release := r.cache.hold(obj.RecordID())
	defer release()
	err = call(ctx, r.doing("changing", obj.RecordID()), func(ctx context.Context) error {
		defer r.store.timed(time.Now())
		stored, err = r.api.Patch(ctx, obj.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, h.subresources...)
		return err
	})
	if err != nil {
		return stored, err
	}
	for _, f := range h.then {
		f()
	}
	r.cache.answered(stored)
	return stored, nil
}

// difference returns the merge patch (RFC 7386) that makes one object the other, for
// that version of it only, or nil if nothing is different.
func difference(from, to metav1.Object) ([]byte, error) {
	before, err := fieldsOf(from)
	if err != nil {
		return nil, err
	}
	after, err := fieldsOf(to)
	if err != nil {
		return nil, err
	}
	patch := merging(before, after)
	if len(patch) == 0 {
		return nil, nil
	}
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = make(map[string]any)
	}
	metadata["resourceVersion"] = from.GetResourceVersion()
	patch["metadata"] = metadata
	return json.Marshal(patch)
}

// fieldsOf returns what is in an object's JSON. Integers stay integers: the libraries
// for merge patches make floats of them, and 64 bits do not fit.
func fieldsOf(obj any) (fields map[string]any, err error) {
	encoded, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	return fields, kubejson.Unmarshal(encoded, &fields)
}

// merging returns the merge patch from before to after.
func merging(before, after map[string]any) map[string]any {
	patch := make(map[string]any)
	for name := range before {
		if _, ok := after[name]; !ok {
			patch[name] = nil
		}
	}
	for name, now := range after {
		was, ok := before[name]
		if ok && reflect.DeepEqual(was, now) {
			continue
		}
		wasFields, both := was.(map[string]any)
		nowFields, fields := now.(map[string]any)
		if both && fields {
			now = merging(wasFields, nowFields)
		}
		patch[name] = now
	}
	return patch
}

// exclusively runs do while no other write of the record is made by this process.
func (r *records[S, U, O]) exclusively(ctx context.Context, id string, do func() error) error {
	if err := r.store.enter(ctx); err != nil {
		return err
	}
	defer r.store.life.RUnlock()
	if !r.valid(id) {
		return r.notFound(id)
	}
	unlock, err := r.locks.Lock(ctx, id)
	if err != nil {
		return state.Errorf(state.ReasonOf(err), "waiting for the work on %s %s: %w", r.kind, state.Quote(id), err)
	}
	defer unlock()
	return do()
}

func (r *records[S, U, O]) otherLife(id, uid string) error {
	return state.Errorf(state.NotFound, "%s %s has another life than %s", r.kind, state.Quote(id), state.Quote(uid))
}
