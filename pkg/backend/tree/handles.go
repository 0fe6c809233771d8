package tree

import (
	"container/list"
	"errors"
	"io"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// maxIdle is how many directories are kept open that nobody works in.
const maxIdle = 128

// maxWalk bounds the path that the kernel is asked to walk at once (PATH_MAX).
const maxWalk = 4000

// handle is a directory of one side, open.
type handle struct {
	dir   *dir
	side  side
	fd    int
	users int
	idle  *list.Element // in handles.idle, while there are no users
}

// handles keeps directories open as long as they are worked in, and the last few
// that were. Others are closed and, if needed again, found from their nearest open
// ancestor by their names. The destination is nobody's to change; a directory of
// the source may have been moved meanwhile, or another one put in its place: only
// the one that was opened at first will do.
type handles struct {
	mu   sync.Mutex
	idle *list.List // the longest idle first
	open map[*handle]struct{}
}

func (t *handles) init() {
	t.idle = list.New()
	t.open = map[*handle]struct{}{}
}

// publish makes fd the directory's handle, with one user, and returns it; should
// another worker have been faster, it closes fd and returns that one's.
func (t *handles) publish(d *dir, s side, fd int) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := d.handles[s]; h != nil {
		_ = unix.Close(fd)
		t.use(h)
		return h
	}
	if s == source && d.offset != 0 {
		// A listing goes on where it was: offsets in directories outlive
		// descriptors on every filesystem that NFS can export. Should one not
		// keep to that, names listed twice do no harm.
		_, _ = unix.Seek(fd, d.offset, io.SeekStart)
	}
	h := &handle{dir: d, side: s, fd: fd, users: 1}
	d.handles[s] = h
	t.open[h] = struct{}{}
	return h
}

func (t *handles) use(h *handle) {
	h.users++
	if h.idle != nil {
		t.idle.Remove(h.idle)
		h.idle = nil
	}
}

// release gives back a handle; it may be closed then.
func (t *handles) release(h *handle) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.users--; h.users > 0 {
		return
	}
	h.idle = t.idle.PushBack(h)
	if t.idle.Len() <= maxIdle {
		return
	}
	old := t.idle.Remove(t.idle.Front()).(*handle)
	if old.side == source {
		if at, err := unix.Seek(old.fd, 0, io.SeekCurrent); err == nil {
			old.dir.offset = at
		}
	}
	t.close(old)
}

func (t *handles) close(h *handle) {
	h.dir.handles[h.side] = nil
	delete(t.open, h)
	_ = unix.Close(h.fd)
}

// closeAll ends with the copy.
func (t *handles) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range t.open {
		t.close(h)
	}
}

// acquire returns a handle of a directory that was open before: errGone if the
// source's is not where it was.
func (t *handles) acquire(c *copier, d *dir, s side) (*handle, error) {
	t.mu.Lock()
	above := d
	for above.handles[s] == nil {
		above = above.parent // the root's is always there
	}
	h := above.handles[s]
	t.use(h)
	t.mu.Unlock()
	if above == d {
		return h, nil
	}
	fd, err := c.walk(h.fd, above, d)
	t.release(h)
	if err != nil {
		return nil, gone(s, err)
	}
	return t.admit(d, s, fd)
}

// admit publishes fd if it is the directory that d was.
func (t *handles) admit(d *dir, s side, fd int) (*handle, error) {
	var st unix.Statx_t
	err := stat(fd, &st)
	if err == nil && identify(&st) != d.id[s] {
		err = errGone
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, gone(s, err)
	}
	return t.publish(d, s, fd), nil
}

// gone lets only the source be changed by others.
func gone(s side, err error) error {
	if s == source && (vanished(err) || err == unix.EXDEV) {
		return errGone
	}
	if s == destination && err == errGone {
		return errors.New("the copy was changed by others while it was made")
	}
	return err
}

// ifOpen returns a handle of a directory if it is open, and nil otherwise.
func (t *handles) ifOpen(d *dir, s side) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := d.handles[s]
	if h != nil {
		t.use(h)
	}
	return h
}

// above returns the handles of d, given those of a directory in it, as far as they
// are there. For the way up out of a deep tree, where there may be more to do at
// each level, this is shorter than all the way down to it again.
func (t *handles) above(d *dir, below [sides]*handle) (above [sides]*handle) {
	for s := range above {
		if above[s] = t.ifOpen(d, s); above[s] != nil || below[s] == nil {
			continue
		}
		// RESOLVE_BENEATH does not go up. Wherever this leads, it is a directory,
		// and only the one that was opened from above before is kept.
		const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NOATIME
		how := unix.OpenHow{Flags: flags, Resolve: beneath &^ unix.RESOLVE_BENEATH}
		if fd, err := unix.Openat2(below[s].fd, "..", &how); err == nil {
			above[s], _ = t.admit(d, s, fd)
		}
	}
	return above
}

func (t *handles) releaseAll(open [sides]*handle) {
	for _, h := range open {
		if h != nil {
			t.release(h)
		}
	}
}

// walk opens the directory d by the names that lead to it from one above.
func (c *copier) walk(fd int, above, d *dir) (int, error) {
	var names []string
	for ; d != above; d = d.parent {
		names = append(names, d.name)
	}
	slices.Reverse(names)
	passing := -1 // opened on the way
	defer func() {
		if passing >= 0 {
			_ = unix.Close(passing)
		}
	}()
	path := make([]byte, 0, maxWalk)
	for i, name := range names {
		if len(path) > 0 {
			path = append(path, '/')
		}
		path = append(path, name...)
		if i == len(names)-1 {
			return c.openDir(fd, string(path))
		}
		if len(path)+1+len(names[i+1]) <= maxWalk {
			continue
		}
		next, err := openBeneath(fd, string(path), unix.O_PATH|unix.O_DIRECTORY)
		if passing >= 0 {
			_ = unix.Close(passing)
		}
		if passing = next; err != nil {
			return -1, err
		}
		fd, path = next, path[:0]
	}
	panic("walk: no names")
}
