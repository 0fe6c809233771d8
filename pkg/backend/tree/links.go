package tree

import (
	"sync"

	"golang.org/x/sys/unix"
)

// links remembers the files with several names, from the first name on that is met
// until the last. What a file is known by includes its time of birth: an inode
// number may be another file's by the time that it is met again.
type links struct {
	mu    sync.Mutex
	files map[fileID]*link
	// flagged are the files whose flags would have forbidden further names.
	flagged []flagged
}

type fileID struct {
	identity
	born unix.StatxTimestamp
}

// link is a file of the copy that is to have several names.
type link struct {
	dir   *dir
	name  string
	left  uint32        // names that were not met yet
	there chan struct{} // closed when it was made, or never will be
	ok    bool          // it was made; set before there is closed
}

type flagged struct {
	*link
	flags int
}

// claim returns the file's link, and whether the caller is the first to meet it:
// then he makes the file, and calls made or lost without waiting for anything that
// another worker does.
func (t *links) claim(e *entry) (l *link, first bool) {
	id := fileID{identify(&e.st), e.st.Btime}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l = t.files[id]; l == nil {
		l = &link{dir: e.dir, name: e.name, left: e.st.Nlink - 1, there: make(chan struct{})}
		if t.files == nil {
			t.files = map[fileID]*link{}
		}
		t.files[id] = l
		return l, true
	}
	if l.left--; l.left == 0 {
		delete(t.files, id)
	}
	return l, false
}

func (l *link) made() {
	if l != nil {
		l.ok = true
		close(l.there)
	}
}

// lost takes back a claim: the file's name is taken in the copy, by what bore it
// before. Those who wait claim the file themselves.
func (t *links) lost(e *entry, l *link) {
	if l == nil {
		return
	}
	t.mu.Lock()
	delete(t.files, fileID{identify(&e.st), e.st.Btime})
	t.mu.Unlock()
	close(l.there)
}

// linked gives a file of the copy one more name. It returns false if the file was
// not made after all.
func (w *worker) linked(e *entry, l *link) (bool, error) {
	select {
	case <-l.there:
	case <-w.stop:
		return false, errStopped
	}
	if !l.ok {
		return false, nil
	}
	first, err := w.dirs.acquire(w.copier, l.dir, destination)
	if err != nil {
		return false, w.failed(l.dir, "", "open the copy", err)
	}
	defer w.dirs.release(first)
	err = retry(func() error { return unix.Linkat(first.fd, l.name, e.dst, e.name, 0) })
	if err != nil && err != unix.EEXIST { // EEXIST: listed twice
		return false, w.failed(e.dir, e.name, "link", err)
	}
	return true, nil
}

// postpone remembers flags that the file is to get when it has all its names.
func (t *links) postpone(l *link, flags int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flagged = append(t.flagged, flagged{l, flags})
}

func (t *links) applyFlags(c *copier) error {
	for _, f := range t.flagged {
		if err := f.apply(c); err != nil {
			return c.failed(f.dir, f.name, "set flags", err)
		}
	}
	return nil
}

func (f flagged) apply(c *copier) error {
	in, err := c.dirs.acquire(c, f.dir, destination)
	if err != nil {
		return err
	}
	defer c.dirs.release(in)
	fd, err := openBeneath(in.fd, f.name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	setFlags(fd, f.flags)
	return c.durability.file(fd)
}
