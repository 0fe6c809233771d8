package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// lives counts the records of all kinds: no two have one UID.
var lives atomic.Int64

// records are a store's records of one kind, in memory.
type records[S, U any] struct {
	mu     sync.Mutex
	byID   map[string]state.Object[S, U]
	wakes  map[chan struct{}]string
	events map[chan state.Event[S, U]]struct{}
	// fail, if set, may refuse a call.
	fail func(call, id string) error
}

var (
	_ state.Owned[state.VolumeSpec, state.VolumeStatus] = (*records[state.VolumeSpec, state.VolumeStatus])(nil)
	_ state.OwnedNodes                                  = (*records[state.NodeSpec, state.NodeStatus])(nil)
)

func newRecords[S, U any]() *records[S, U] {
	return &records[S, U]{byID: map[string]state.Object[S, U]{}, wakes: map[chan struct{}]string{}, events: map[chan state.Event[S, U]]struct{}{}}
}

// copied returns an object that shares nothing with another.
func copied[T any](obj T) (c T) {
	b, err := json.Marshal(obj)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

// do runs a call with the record, if there is one.
func (r *records[S, U]) do(ctx context.Context, call, id string, with func(obj state.Object[S, U]) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(call, id); err != nil {
			return err
		}
	}
	obj, ok := r.byID[id]
	if !ok {
		return state.Errorf(state.NotFound, "there is no %q", id)
	}
	return with(copied(obj))
}

// put stores and tells; r.mu is held.
func (r *records[S, U]) put(obj state.Object[S, U], gone bool) {
	if r.byID[obj.ID] = copied(obj); gone {
		delete(r.byID, obj.ID)
	}
	for ch := range r.events {
		ch <- state.Event[S, U]{Object: copied(obj), Gone: gone}
	}
	for ch, id := range r.wakes {
		if id == obj.ID {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}

func (r *records[S, U]) Get(ctx context.Context, id string) (found state.Object[S, U], err error) {
	err = r.do(ctx, "Get", id, func(obj state.Object[S, U]) error { found = obj; return nil })
	return found, err
}

func (r *records[S, U]) Known(ctx context.Context, id string) (state.Object[S, U], error) {
	return r.Get(ctx, id)
}

func (r *records[S, U]) List(ctx context.Context, page state.Page) (list []state.Object[S, U], next string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail("List", ""); err != nil {
			return nil, "", err
		}
	}
	for id, obj := range r.byID {
		if id > page.After {
			list = append(list, copied(obj))
		}
	}
	slices.SortFunc(list, func(x, y state.Object[S, U]) int { return cmp.Compare(x.ID, y.ID) })
	if page.Limit > 0 && len(list) > page.Limit {
		list = list[:page.Limit]
		next = list[page.Limit-1].ID
	}
	return list, next, ctx.Err()
}

func (r *records[S, U]) Watch(ctx context.Context) <-chan state.Event[S, U] {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := make(chan state.Event[S, U], 1<<14) // more than any test makes
	r.events[ch] = struct{}{}
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.events, ch)
		close(ch)
	})
	return ch
}

func (r *records[S, U]) Wake(id string) (<-chan struct{}, func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ch := make(chan struct{}, 1)
	r.wakes[ch] = id
	return ch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.wakes, ch)
	}
}

func (r *records[S, U]) Create(ctx context.Context, id string, spec S) (obj state.Object[S, U], err error) {
	err = r.do(ctx, "Create", id, func(state.Object[S, U]) error { return state.Errorf(state.AlreadyExists, "there is a %q", id) })
	if state.ReasonOf(err) != state.NotFound {
		return obj, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	obj.ID, obj.UID, obj.Generation, obj.CreatedAt, obj.Spec = id, fmt.Sprintf("%032x", lives.Add(1)), 1, time.Now().UTC(), spec
	r.put(obj, false)
	return copied(obj), nil
}

func (r *records[S, U]) UpdateSpec(ctx context.Context, id string, change func(spec *S) error) (changed state.Object[S, U], err error) {
	err = r.do(ctx, "UpdateSpec", id, func(obj state.Object[S, U]) error {
		before := copied(obj)
		if err := change(&obj.Spec); err != nil {
			return err
		}
		if changed = obj; reflect.DeepEqual(copied(obj), before) {
			return nil // nothing changed, nobody is told
		}
		obj.Generation++
		changed = obj
		r.put(obj, false)
		return nil
	})
	return changed, err
}

func (r *records[S, U]) UpdateStatus(ctx context.Context, id string, change func(status *U) error, then ...func()) (changed state.Object[S, U], err error) {
	err = r.do(ctx, "UpdateStatus", id, func(obj state.Object[S, U]) error {
		before := copied(obj)
		if err := change(&obj.Status); err != nil {
			return err
		}
		if changed = obj; reflect.DeepEqual(copied(obj), before) {
			return nil // nothing changed, nobody is told
		}
		changed = obj
		for _, f := range then {
			f()
		}
		r.put(obj, false)
		return nil
	})
	return changed, err
}

func (r *records[S, U]) Delete(ctx context.Context, id string) error {
	return r.do(ctx, "Delete", id, func(obj state.Object[S, U]) error {
		if obj.DeletedAt == nil {
			now := time.Now().UTC()
			obj.DeletedAt = &now
			obj.Generation++
			r.put(obj, false)
		}
		return nil
	})
}

func (r *records[S, U]) Keep(ctx context.Context, id, uid string) error {
	return r.do(ctx, "Keep", id, func(obj state.Object[S, U]) error {
		if obj.UID != uid {
			return state.Errorf(state.NotFound, "there is no %q with UID %s", id, uid)
		}
		if obj.DeletedAt != nil {
			obj.DeletedAt = nil
			obj.Generation++
			r.put(obj, false)
		}
		return nil
	})
}

func (r *records[S, U]) Finalize(ctx context.Context, id, uid string) error {
	return r.do(ctx, "Finalize", id, func(obj state.Object[S, U]) error {
		if obj.UID != uid {
			return state.Errorf(state.NotFound, "there is no %q with UID %s", id, uid)
		}
		r.put(obj, true)
		return nil
	})
}

// publishes knows by a test's word what is published.
type publishes struct {
	mu      sync.Mutex
	inUse   map[string]bool
	retired map[string]bool
	pools   []string // that were added
	grown   []string // volumes
	growErr error
}

func (p *publishes) Retire(id string) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inUse[id] {
		return nil, state.Errorf(state.InUse, "volume %s is published", id)
	}
	if p.retired[id] {
		panic("volume " + id + " is retired twice")
	}
	p.retired[id] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.retired, id)
	}, nil
}

func (p *publishes) Grow(_ context.Context, id string, _ *os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grown = append(p.grown, id)
	return p.growErr
}

func (p *publishes) AddPool(name, _ string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pools = append(p.pools, name)
	return nil
}

func (p *publishes) set(id string, inUse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inUse[id] = inUse
}
