package tree

import "golang.org/x/sys/unix"

// entry is one entry of a directory that is not a directory itself.
type entry struct {
	dir   *dir
	name  string
	place int // the source's, open with O_PATH
	dst   int // the destination's directory
	st    unix.Statx_t
}

func (e *entry) kind() uint16 { return e.st.Mode & unix.S_IFMT }

// create runs a call that makes the entry in the destination. It returns false if
// there is one already: the name was listed twice, as may be when it was renamed
// or replaced meanwhile.
func (w *worker) create(e *entry, l *link, op string, call func() error) (bool, error) {
	err := retry(call)
	if err == unix.EEXIST {
		w.links.lost(e, l)
		return false, nil
	}
	if err != nil {
		return false, w.failed(e.dir, e.name, op, err)
	}
	l.made()
	w.count(0, 1)
	return true, nil
}

func (w *worker) symlink(e *entry, l *link) error {
	buf := buffer(&w.value, unix.PathMax+1)
	var n int
	err := retry(func() (err error) {
		n, err = unix.Readlinkat(e.place, "", buf)
		return err
	})
	if err == nil && n == len(buf) {
		err = unix.ENAMETOOLONG
	}
	if err != nil {
		return w.failed(e.dir, e.name, "readlink", err)
	}
	made, err := w.create(e, l, "symlink", func() error { return unix.Symlinkat(string(buf[:n]), e.dst, e.name) })
	if !made || err != nil {
		return err
	}
	return w.attrsByName(e)
}

// special makes pipes, sockets and devices. They are never opened, neither here
// nor there.
func (w *worker) special(e *entry, l *link) error {
	made, err := w.create(e, l, "mknod", func() error {
		dev := unix.Mkdev(e.st.Rdev_major, e.st.Rdev_minor)
		return unix.Mknodat(e.dst, e.name, uint32(e.kind())|0o600, int(dev))
	})
	if !made || err != nil {
		return err
	}
	return w.attrsByName(e)
}

// attrsByName gives the entry that was made the attributes of its source, without
// opening either.
func (w *worker) attrsByName(e *entry) error {
	w.durability.unsyncable()
	a := attrsOf(&e.st, 0)
	if err := retry(func() error {
		return unix.Fchownat(e.dst, e.name, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW)
	}); err != nil {
		return w.failed(e.dir, e.name, "chown", err)
	}
	if err := w.xattrsByName(e); err != nil {
		return err
	}
	if e.kind() != unix.S_IFLNK { // whose mode nobody looks at, and nobody can set
		if err := retry(func() error { return unix.Fchmodat(e.dst, e.name, a.mode, 0) }); err != nil {
			return w.failed(e.dir, e.name, "chmod", err)
		}
	}
	return w.times(e.dir, e.name, e.dst, e.name, &a)
}
