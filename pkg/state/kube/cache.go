package kube

import (
	"reflect"
	"sync"

	"github.com/google/btree"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/notify"
)

// cache holds the objects of one kind as far as this process knows them, ordered by
// the IDs of their records. It learns of them from the watch, in the order in which
// they were written, and from the answers to this process's own writes, in any order.
// Objects in it are never changed.
type cache[S, U any, O object[S, U]] struct {
	mu    sync.RWMutex
	items *btree.BTreeG[item[O]]
	// seen is the newest resourceVersion that the watch has told of. An answer that
	// is not newer, about an object that is not here, is about one that has gone.
	seen string
	// ended are the objects that this process has removed, until the watch tells of
	// that. What it tells of them before is old.
	ended map[types.UID]struct{}
	// held are the records being written: what the watch tells of them waits.
	held map[string][]func()

	synced     chan struct{} // closed when all objects are here
	syncedOnce sync.Once

	changes notify.Notifier[change[O], state.Event[S, U]]
}

// item is one object; one with an ID only is for looking up.
type item[O any] struct {
	id  string
	obj O
}

// change is what happened to an object: what it is now, or was last if it is gone.
type change[O any] struct {
	obj  O
	gone bool
}

func newCache[S, U any, O object[S, U]]() *cache[S, U, O] {
	const degree = 32
	return &cache[S, U, O]{
		items:  btree.NewG(degree, func(a, b item[O]) bool { return a.id < b.id }),
		ended:  make(map[types.UID]struct{}),
		held:   make(map[string][]func()),
		synced: make(chan struct{}),
	}
}

func (c *cache[S, U, O]) get(id string) (obj O, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found, ok := c.items.Get(item[O]{id: id})
	return found.obj, ok
}

// page returns the objects of a page, and whether there are more behind it.
func (c *cache[S, U, O]) page(page state.Page) (objects []O, more bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	start := item[O]{}
	if page.After != "" {
		start.id = page.After + "\x00" // the first ID behind After
	}
	c.items.AscendGreaterOrEqual(start, func(i item[O]) bool {
		if page.Limit > 0 && len(objects) == page.Limit {
			more = true
			return false
		}
		objects = append(objects, i.obj)
		return true
	})
	return objects, more
}

// hold keeps back what the watch tells of a record until release is called.
func (c *cache[S, U, O]) hold(id string) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[id] = nil
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		waiting := c.held[id]
		delete(c.held, id)
		for _, f := range waiting {
			f()
		}
	}
}

// answered takes the object that a request of this process was answered with.
func (c *cache[S, U, O]) answered(obj O) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items.Get(item[O]{id: obj.RecordID()}); !ok && !newer(obj.GetResourceVersion(), c.seen) {
		return
	}
	c.set(obj)
}

// removed takes that this process has removed an object.
func (c *cache[S, U, O]) removed(obj O) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if newer(obj.GetResourceVersion(), c.seen) || c.has(obj) {
		c.ended[obj.GetUID()] = struct{}{}
	}
	c.drop(obj)
}

// told takes that the watch has told of an object.
func (c *cache[S, U, O]) told(obj O, gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(obj.GetResourceVersion())
	c.unlessHeld(obj.RecordID(), func() {
		if gone {
			delete(c.ended, obj.GetUID())
			c.drop(obj)
			return
		}
		c.set(obj)
	})
}

// listed takes all the objects there are, as of a resourceVersion. What this process
// knows to be newer stays.
func (c *cache[S, U, O]) listed(objects []O, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := make(map[types.UID]struct{}, len(objects))
	for _, obj := range objects {
		here[obj.GetUID()] = struct{}{}
		c.unlessHeld(obj.RecordID(), func() { c.set(obj) })
	}
	var gone []O
	c.items.Ascend(func(i item[O]) bool {
		if _, ok := here[i.obj.GetUID()]; !ok && !newer(i.obj.GetResourceVersion(), version) {
			gone = append(gone, i.obj)
		}
		return true
	})
	for _, obj := range gone {
		c.unlessHeld(obj.RecordID(), func() { c.drop(obj) })
	}
	for uid := range c.ended {
		if _, ok := here[uid]; !ok {
			delete(c.ended, uid)
		}
	}
	c.advance(version)
	c.syncedOnce.Do(func() { close(c.synced) })
}

// advance takes that the watch has told of everything up to a resourceVersion.
func (c *cache[S, U, O]) advance(version string) {
	if newer(version, c.seen) {
		c.seen = version
	}
}

func (c *cache[S, U, O]) unlessHeld(id string, do func()) {
	if waiting, held := c.held[id]; held {
		c.held[id] = append(waiting, do)
		return
	}
	do()
}

// set puts an object in its place, unless there is a newer one, and tells of it if
// that makes a difference to the record.
func (c *cache[S, U, O]) set(obj O) {
	if _, ended := c.ended[obj.GetUID()]; ended {
		return
	}
	id := obj.RecordID()
	now, ok := c.items.Get(item[O]{id: id})
	if ok && !newer(obj.GetResourceVersion(), now.obj.GetResourceVersion()) {
		return
	}
	c.items.ReplaceOrInsert(item[O]{id: id, obj: obj})
	if !ok || !reflect.DeepEqual(recordOf[S, U](now.obj), recordOf[S, U](obj)) {
		c.changes.Publish(id, change[O]{obj: obj})
	}
}

// drop takes an object out, if it is here, and tells of it.
func (c *cache[S, U, O]) drop(obj O) {
	if !c.has(obj) {
		return
	}
	c.items.Delete(item[O]{id: obj.RecordID()})
	c.changes.Publish(obj.RecordID(), change[O]{obj: obj, gone: true})
}

// has tells whether an object is here, in whatever version.
func (c *cache[S, U, O]) has(obj O) bool {
	now, ok := c.items.Get(item[O]{id: obj.RecordID()})
	return ok && now.obj.GetUID() == obj.GetUID()
}

// newer compares resourceVersions, which grow with every write to one kind. "" is
// older than all.
func newer(a, b string) bool {
	if a == "" || b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0 // one that is no number: what came last counts
}
