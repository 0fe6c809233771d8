package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/keylock"
)

// records are all records of one kind. Writes of one record come one after the other
// in this process, so that it does not conflict with itself.
type records[S, U any, O object[S, U]] struct {
	store *Store
	kind  string // for messages
	node  string // whose records these are; "" for all
	valid func(id string) bool
	api   resource[O]
	empty func() O
	cache *cache[S, U, O]
	locks keylock.Locks
}

// resource is what is asked of the API server about single objects.
type resource[O any] interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (O, error)
	Create(ctx context.Context, obj O, o metav1.CreateOptions) (O, error)
	Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, subresources ...string) (O, error)
	Delete(ctx context.Context, name string, o metav1.DeleteOptions) error
}

func newRecords[S, U any, O object[S, U]](s *Store, kind, node string, valid func(string) bool, api resource[O], empty func() O) *records[S, U, O] {
	return &records[S, U, O]{store: s, kind: kind, node: node, valid: valid, api: api, empty: empty, cache: newCache[S, U, O]()}
}

// Get returns the record as this process knows it, which is never older than what it
// has written itself. One that it does not know it asks the API server for.
func (r *records[S, U, O]) Get(ctx context.Context, id string) (state.Object[S, U], error) {
	return r.get(ctx, id, r.find)
}

// Known is Get of what this process knows: a new volume costs no request that finds nothing.
func (r *records[S, U, O]) Known(ctx context.Context, id string) (state.Object[S, U], error) {
	return r.get(ctx, id, func(_ context.Context, id string) (obj O, err error) {
		obj, ok := r.cache.get(id)
		if !ok {
			err = r.notFound(id)
		}
		return obj, err
	})
}

func (r *records[S, U, O]) get(ctx context.Context, id string, find func(ctx context.Context, id string) (O, error)) (record state.Object[S, U], err error) {
	if err := r.store.enter(ctx); err != nil {
		return record, err
	}
	defer r.store.life.RUnlock()
	if !r.valid(id) {
		return record, r.notFound(id)
	}
	obj, err := find(ctx, id)
	if err != nil {
		return record, err
	}
	return copyOf[S, U](obj), nil
}

// List returns a page of the records that this process knows.
func (r *records[S, U, O]) List(ctx context.Context, page state.Page) (list []state.Object[S, U], next string, err error) {
	if page.Limit < 0 {
		return nil, "", state.Errorf(state.Invalid, "listing %d %ss", page.Limit, r.kind)
	}
	if err := r.store.enter(ctx); err != nil {
		return nil, "", err
	}
	defer r.store.life.RUnlock()
	objects, more := r.cache.page(page)
	for _, obj := range objects {
		list = append(list, copyOf[S, U](obj))
	}
	if more {
		next = list[len(list)-1].ID
	}
	return list, next, nil
}

// Watch tells of every change from now on, until ctx ends or the store is closed.
func (r *records[S, U, O]) Watch(ctx context.Context) <-chan state.Event[S, U] {
	return r.cache.changes.Watch(ctx, func(c change[O]) (state.Event[S, U], bool) {
		return state.Event[S, U]{Object: copyOf[S, U](c.obj), Gone: c.gone}, true
	})
}

// Wake sends on woken after every change of one record, and when the store is closed.
func (r *records[S, U, O]) Wake(id string) (woken <-chan struct{}, stop func()) {
	return r.cache.changes.Wake(id)
}

// find returns a record's object as this process knows it, or else as it is.
func (r *records[S, U, O]) find(ctx context.Context, id string) (O, error) {
	if obj, ok := r.cache.get(id); ok {
		return obj, nil
	}
	return r.read(ctx, id)
}

// read asks the API server for a record's object.
func (r *records[S, U, O]) read(ctx context.Context, id string) (obj O, err error) {
	err = call(ctx, r.doing("reading", id), func(ctx context.Context) error {
		obj, err = r.api.Get(ctx, objectName[S, U](r.empty(), id), metav1.GetOptions{})
		return err
	})
	switch {
	case state.ReasonOf(err) == state.NotFound:
		return obj, r.notFound(id)
	case err != nil:
		return obj, err
	case obj.RecordID() != id, r.node != "" && obj.NodeID() != r.node:
		return obj, r.notFound(id) // not one of ours
	}
	r.cache.answered(obj)
	return obj, nil
}

func (r *records[S, U, O]) notFound(id string) error {
	return state.Errorf(state.NotFound, "there is no %s %s", r.kind, state.Quote(id))
}

func (r *records[S, U, O]) doing(what, id string) string {
	return what + " " + r.kind + " " + state.Quote(id)
}
