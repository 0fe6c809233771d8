package tree

import "golang.org/x/sys/unix"

// worker carries out tasks. Its buffers are its own, made when first needed.
type worker struct {
	*copier
	dents []byte
	names []byte // of extended attributes
	value []byte // of one
	data  []byte
}

func (w *worker) run() {
	for {
		t, ok := w.queue.pop()
		if !ok {
			return
		}
		var err error
		if t.names == nil {
			err = w.list(t.dir)
		} else {
			err = w.entries(t.dir, t.names)
		}
		if err != nil {
			w.fail(err)
			return
		}
	}
}

// count adds to what was done and tells about it.
func (w *worker) count(bytes, inodes int64) {
	w.counters.bytes.Add(bytes)
	w.counters.inodes.Add(inodes)
	w.counters.tell(w.o.Progress)
}

// buffer returns *b with at least size bytes.
func buffer(b *[]byte, size int) []byte {
	if len(*b) < size {
		*b = make([]byte, size)
	}
	return *b
}

// entries copies entries of a directory.
func (w *worker) entries(d *dir, names []string) error {
	src, err := w.dirs.acquire(w.copier, d, source)
	if err == errGone {
		w.counters.vanished.Add(int64(len(names)))
		return w.finish(d)
	}
	if err != nil {
		return w.failed(d, "", "open", err)
	}
	defer w.dirs.release(src)
	dst, err := w.dirs.acquire(w.copier, d, destination)
	if err != nil {
		return w.failed(d, "", "open the copy", err)
	}
	defer w.dirs.release(dst)
	for _, name := range names {
		if w.stopped() {
			return errStopped
		}
		if err := w.entry(d, src.fd, dst.fd, name); err != nil {
			return err
		}
	}
	return w.finish(d)
}

// entry copies one entry. From here on its name is used no more on the source's
// side: the place that was opened is one inode, be it renamed or removed.
func (w *worker) entry(d *dir, src, dst int, name string) error {
	place, err := openPlace(src, name)
	if w.leftOut(err) {
		return nil
	}
	if err != nil {
		return w.failed(d, name, "open", err)
	}
	defer unix.Close(place)
	e := entry{dir: d, name: name, place: place, dst: dst}
	if err := stat(place, &e.st); err != nil {
		return w.failed(d, name, "stat", err)
	}
	if e.kind() == unix.S_IFDIR {
		sub := &dir{parent: d, name: name, depth: d.depth + 1}
		sub.pending.Store(1)
		d.pending.Add(1)
		w.queue.push(task{dir: sub})
		return nil
	}
	if e.st.Nlink < 2 {
		return w.copy(&e, nil)
	}
	for {
		l, first := w.links.claim(&e)
		if first {
			return w.copy(&e, l)
		}
		if done, err := w.linked(&e, l); done || err != nil {
			return err
		}
	}
}

// copy makes an inode in the destination. l, if not nil, is told when it is there.
func (w *worker) copy(e *entry, l *link) error {
	switch e.kind() {
	case unix.S_IFREG:
		return w.file(e, l)
	case unix.S_IFLNK:
		return w.symlink(e, l)
	default:
		return w.special(e, l)
	}
}
