package kube

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// feed keeps a cache up to date with the API server, by one list and one watch.
type feed struct {
	kind      string
	reflector *toolscache.Reflector
	synced    <-chan struct{}
	failed    atomic.Pointer[error] // what kept the feed from listing or watching last
	absent    chan struct{}         // holds a token when the API server does not know the resource
}

// listWatcher is what a feed asks the API server.
type listWatcher[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

func newFeed[S, U any, O object[S, U], L runtime.Object](c *cache[S, U, O], kind, selector string, api listWatcher[L], example O) *feed {
	f := &feed{kind: kind, synced: c.synced, absent: make(chan struct{}, 1)}
	lw := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			if o.ResourceVersion == "0" {
				// Any version would do for the reflector. It would not for us: what
				// was answered before a restart has to be here after it.
				o.ResourceVersion = ""
			}
			list, err := api.List(ctx, o)
			f.note(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			w, err := api.Watch(ctx, o)
			f.note(err)
			return w, err
		},
	}
	f.reflector = toolscache.NewReflectorWithOptions(lw, example, sink[S, U, O]{c}, toolscache.ReflectorOptions{
		Name:            "hostpath-csi " + kind + " records",
		TypeDescription: kind + " records",
		// Work waits for this when the API server is back.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 6, Cap: 5 * time.Second},
	})
	return f
}

func (f *feed) run(ctx context.Context) { f.reflector.RunWithContext(ctx) }

// note keeps what failed last, to be told by awaitSync.
func (f *feed) note(err error) {
	f.failed.Store(&err)
	if apierrors.IsNotFound(err) {
		select {
		case f.absent <- struct{}{}:
		default:
		}
	}
}

// awaitSync waits until everything was listed once.
func (f *feed) awaitSync(ctx context.Context) error {
	select {
	case <-f.synced:
		return nil
	case <-f.absent:
		return state.Errorf(state.Unavailable, "the API server does not know the resource of %s records: install the CustomResourceDefinitions of deploy/base/crd: %w", f.kind, *f.failed.Load())
	case <-ctx.Done():
	}
	if err := f.failed.Load(); err != nil && *err != nil {
		return failure(ctx, "reading all "+f.kind+" records", *err)
	}
	return fmt.Errorf("reading all %s records: %w", f.kind, ctx.Err())
}

// sink is what a reflector writes to.
type sink[S, U any, O object[S, U]] struct{ cache *cache[S, U, O] }

var errKind = errors.New("an object of another kind")

// Add takes an object that the watch tells of.
func (s sink[S, U, O]) Add(obj any) error { return s.told(obj, false) }

// Update takes an object that the watch tells of.
func (s sink[S, U, O]) Update(obj any) error { return s.told(obj, false) }

// Delete takes the end of an object that the watch tells of.
func (s sink[S, U, O]) Delete(obj any) error { return s.told(obj, true) }

func (s sink[S, U, O]) told(obj any, gone bool) error {
	o, ok := obj.(O)
	if !ok {
		return fmt.Errorf("%w: %T", errKind, obj)
	}
	if namesRecord[S, U](o) {
		s.cache.told(o, gone)
	}
	return nil
}

// Replace takes all objects there are.
func (s sink[S, U, O]) Replace(list []any, version string) error {
	objects := make([]O, 0, len(list))
	for _, obj := range list {
		o, ok := obj.(O)
		if !ok {
			return fmt.Errorf("%w: %T", errKind, obj)
		}
		if namesRecord[S, U](o) {
			objects = append(objects, o)
		} else {
			klog.InfoS("An object whose name is not that of a record is left alone", "name", o.GetName())
		}
	}
	s.cache.listed(objects, version)
	return nil
}

// Bookmark takes that nothing else has happened up to a resourceVersion.
func (s sink[S, U, O]) Bookmark(version string) error {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	s.cache.advance(version)
	return nil
}

// Resync has nothing to do: nothing is missed.
func (s sink[S, U, O]) Resync() error { return nil }
