package tree

import "golang.org/x/sys/unix"

// file copies a regular file: the inode at e.place, and no other.
func (w *worker) file(e *entry, l *link) (err error) {
	src, err := w.openFile(e.place)
	if err != nil {
		return w.failed(e.dir, e.name, "open", err)
	}
	defer unix.Close(src)
	var dst int
	made, err := w.create(e, l, "create", func() (err error) {
		// Without the directory's default ACL and set-group-ID bit in the way: it
		// gets these when its entries are complete.
		const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		dst, err = unix.Openat(e.dst, e.name, flags, 0o600)
		return err
	})
	if !made || err != nil {
		return err
	}
	defer func() {
		// Some filesystems tell only here that there was no room.
		if e2 := unix.Close(dst); e2 != nil && e2 != unix.EINTR && err == nil {
			err = w.failed(e.dir, e.name, "close", e2)
		}
	}()
	a := attrsOf(&e.st, w.flagsOf(src))
	setFlags(dst, a.flags&storage)
	if err := w.contents(e, src, dst); err != nil {
		return err
	}
	if err := w.fileAttrs(e, src, dst, &a); err != nil {
		return err
	}
	late := a.flags &^ storage
	if l != nil && late&fixed != 0 {
		w.links.postpone(l, late)
	} else {
		setFlags(dst, late)
	}
	if err := w.durability.file(dst); err != nil {
		return w.failed(e.dir, e.name, "sync", err)
	}
	return nil
}
