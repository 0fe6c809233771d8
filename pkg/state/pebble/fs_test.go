package pebble

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// unsyncedFS is a filesystem that syncs nothing, for tests of anything else.
func unsyncedFS() vfs.FS {
	return &hookedFS{FS: vfs.Default, onSync: func(string, func() error) error { return nil }}
}

// hookedFS lets a test stand between a file and its sync.
type hookedFS struct {
	vfs.FS
	// onSync is called instead of a sync of the named file, which is sync.
	onSync func(name string, sync func() error) error
	// onCreate may fail the creation of a file.
	onCreate func(name string) error
}

func (f *hookedFS) Unwrap() vfs.FS { return f.FS }

func (f *hookedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if f.onCreate != nil {
		if err := f.onCreate(name); err != nil {
			return nil, err
		}
	}
	file, err := f.FS.Create(name, category)
	return f.hook(name, file), err
}

func (f *hookedFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	return f.hook(newname, file), err
}

func (f *hookedFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.hook(name, file), err
}

func (f *hookedFS) hook(name string, file vfs.File) vfs.File {
	if file == nil {
		return nil
	}
	return &hookedFile{File: file, name: name, fs: f}
}

type hookedFile struct {
	vfs.File
	name string
	fs   *hookedFS
}

func (f *hookedFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *hookedFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *hookedFile) sync(sync func() error) error {
	if f.fs.onSync == nil {
		return sync()
	}
	return f.fs.onSync(f.name, sync)
}

// gate holds up the syncs of write-ahead logs while it is closed, and counts them.
type gate struct {
	arrived chan struct{} // of capacity one: a sync waits at the gate

	mu    sync.Mutex
	open  chan struct{} // closed while the gate is open
	count int
}

func newGate() *gate {
	g := &gate{arrived: make(chan struct{}, 1), open: make(chan struct{})}
	close(g.open)
	return g
}

func (g *gate) fs() vfs.FS {
	return &hookedFS{FS: vfs.Default, onSync: func(name string, sync func() error) error {
		if _, isLog := logNumber(name); isLog {
			g.pass()
		}
		return sync()
	}}
}

func (g *gate) pass() {
	g.mu.Lock()
	g.count++
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
	default:
		select {
		case g.arrived <- struct{}{}:
		default:
		}
		<-open
	}
}

// shut closes the gate and forgets what passed.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
	g.count = 0
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) passed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}
