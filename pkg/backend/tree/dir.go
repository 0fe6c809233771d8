package tree

import (
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A side is the source or the destination of a directory.
type side = int

const (
	source side = iota
	destination
	sides
)

// dir is a directory that is being copied. It knows its place in the tree and, while
// they are open, its two handles: see type handles.
type dir struct {
	parent *dir // nil: the root
	name   string
	depth  int

	// pending counts the tasks on this directory and the directories in it that
	// are not finished: its own attributes come last, for entries that are made in
	// it change them.
	pending atomic.Int64

	// Set by the first listing.
	made  bool // the destination's directory is there
	id    [sides]identity
	attrs attrs
	late  []xattr // extended attributes that entries would inherit

	// Guarded by handles.mu.
	handles [sides]*handle
	offset  int64 // where the listing goes on when the source is opened again
}

// path is the path of an entry relative to the root of the tree.
func (d *dir) path(name string) string {
	var names []string
	if name != "" {
		names = append(names, name)
	}
	for ; d.parent != nil; d = d.parent {
		names = append(names, d.name)
	}
	if len(names) == 0 {
		return "."
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

const (
	// listBytes of names are read at a time: it bounds what waits for each level.
	listBytes = 32 << 10
	// deepListBytes does so in trees that are deeper than trees are.
	deepListBytes = 4 << 10
	deepLevel     = 256
	// maxDirent is room for any entry (struct linux_dirent64).
	maxDirent = 19 + unix.NAME_MAX + 1 + 8
	// namesPerTask: small enough to share a directory among the workers.
	namesPerTask = 32
)

// list reads some names of a directory and leaves tasks for them. It puts its own
// continuation below these, to be taken when they, and all that is below them, are
// nearly done.
func (w *worker) list(d *dir) error {
	if !d.made {
		switch begun, err := w.begin(d); {
		case err != nil:
			return err
		case !begun:
			return w.finish(d)
		}
	}
	names, end, err := w.readNames(d)
	if err == errGone { // and with it what was not listed yet
		w.counters.vanished.Add(1)
		return w.finish(d)
	}
	if err != nil {
		return w.failed(d, "", "read", err)
	}
	var tasks []task
	if !end {
		d.pending.Add(1)
		tasks = append(tasks, task{dir: d})
	}
	for chunk := range slices.Chunk(names, namesPerTask) {
		d.pending.Add(1)
		tasks = append(tasks, task{dir: d, names: chunk})
	}
	w.queue.push(tasks...)
	return w.finish(d)
}

func (w *worker) readNames(d *dir) (names []string, end bool, err error) {
	h, err := w.dirs.acquire(w.copier, d, source)
	if err != nil {
		return nil, false, err
	}
	defer w.dirs.release(h)
	if w.dents == nil {
		w.dents = make([]byte, listBytes)
	}
	buf := w.dents
	if d.depth > deepLevel {
		buf = buf[:deepListBytes]
	}
	used := 0
	for !end && len(buf)-used >= maxDirent {
		n, err := readDirent(h.fd, buf[used:])
		if err != nil && err != unix.ENOENT { // ENOENT: the directory was removed
			return nil, false, err
		}
		end = n <= 0
		used += max(n, 0)
	}
	_, _, names = unix.ParseDirent(buf[:used], -1, nil)
	return names, end, nil
}

func readDirent(fd int, buf []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.ReadDirent(fd, buf)
		return err
	})
	return n, err
}

// begin opens the source's directory, whatever directory bears the name by now,
// and makes the destination's. It returns false if there is nothing to do: it has
// vanished.
func (w *worker) begin(d *dir) (begun bool, err error) {
	open := d.handles // the root's
	if d.parent != nil {
		if open, err = w.makeDir(d); open[source] == nil || err != nil {
			return false, err
		}
		defer w.dirs.release(open[source])
		defer w.dirs.release(open[destination])
	}
	d.made = true
	return true, w.beginAttrs(d, open[source].fd, open[destination].fd)
}

// makeDir opens a directory and makes that of the copy. It returns no handles if
// there is nothing to open, or if it was done before.
func (w *worker) makeDir(d *dir) (none [sides]*handle, err error) {
	src, err := w.openSource(d)
	if src < 0 || err != nil {
		return none, err
	}
	fds := [sides]int{src, -1}
	defer func() {
		for _, fd := range fds {
			if fd >= 0 {
				_ = unix.Close(fd)
			}
		}
	}()
	parent, err := w.dirs.acquire(w.copier, d.parent, destination)
	if err != nil {
		return none, w.failed(d, "", "open the copy", err)
	}
	defer w.dirs.release(parent)
	err = retry(func() error { return unix.Mkdirat(parent.fd, d.name, 0o700) })
	if err == unix.EEXIST { // listed twice, as it may be if it was renamed meanwhile
		return none, nil
	}
	if err != nil {
		return none, w.failed(d, "", "mkdir", err)
	}
	if fds[destination], err = w.openDir(parent.fd, d.name); err != nil {
		return none, w.failed(d, "", "open the copy", err)
	}
	for side, fd := range fds {
		var st unix.Statx_t
		if err := stat(fd, &st); err != nil {
			return none, w.failed(d, "", "stat", err)
		}
		d.id[side] = identify(&st)
	}
	if d.id[source] == w.root.id[destination] {
		return none, w.failed(d, "", "open", errWithin)
	}
	w.count(0, 1)
	var open [sides]*handle
	for side := range fds {
		open[side] = w.dirs.publish(d, side, fds[side])
		fds[side] = -1
	}
	return open, nil
}

// openSource opens a directory in its parent; it returns -1 if that is left out.
func (w *worker) openSource(d *dir) (int, error) {
	parent, err := w.dirs.acquire(w.copier, d.parent, source)
	if err == errGone {
		w.counters.vanished.Add(1)
		return -1, nil
	}
	if err != nil {
		return -1, w.failed(d.parent, "", "open", err)
	}
	defer w.dirs.release(parent)
	fd, err := w.openDir(parent.fd, d.name)
	if w.leftOut(err) {
		return -1, nil
	}
	if err != nil {
		return -1, w.failed(d, "", "open", err)
	}
	return fd, nil
}

// leftOut counts what cannot be opened any more, or must not be.
func (w *worker) leftOut(err error) bool {
	switch {
	case err == unix.EXDEV:
		w.counters.mounts.Add(1)
	case vanished(err):
		w.counters.vanished.Add(1)
	default:
		return false
	}
	return true
}

// finish takes one from a directory's pending. What reaches none is complete: it
// gets its attributes, and its parent has one less. This climbs from directory to
// parent in a loop: a tree may be deeper than a stack.
func (w *worker) finish(d *dir) error {
	var open [sides]*handle // of d, if they are
	defer func() { w.dirs.releaseAll(open) }()
	for d.pending.Add(-1) == 0 {
		if d.made {
			if open[destination] == nil {
				var err error
				if open[destination], err = w.dirs.acquire(w.copier, d, destination); err != nil {
					return w.failed(d, "", "open the copy", err)
				}
				open[source] = w.dirs.ifOpen(d, source)
			}
			if err := w.finishAttrs(d, open[destination].fd); err != nil {
				return err
			}
		}
		if d.parent == nil {
			w.queue.close()
			return nil
		}
		above := w.dirs.above(d.parent, open)
		w.dirs.releaseAll(open)
		open, d = above, d.parent
	}
	return nil
}
