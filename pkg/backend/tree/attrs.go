package tree

import "golang.org/x/sys/unix"

// attrs are an inode's attributes, but for the extended ones.
type attrs struct {
	mode     uint32 // permissions and set-ID bits
	uid, gid int
	times    [2]unix.Timespec // of access and modification
	flags    int              // see flags.go
}

func attrsOf(st *unix.Statx_t, flags int) attrs {
	time := func(t unix.StatxTimestamp) unix.Timespec {
		return unix.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)}
	}
	return attrs{
		mode: uint32(st.Mode) & 0o7777, uid: int(st.Uid), gid: int(st.Gid),
		times: [2]unix.Timespec{time(st.Atime), time(st.Mtime)}, flags: flags,
	}
}

// The order in which an inode gets its attributes:
//
//	contents         writing takes capabilities and set-ID bits away
//	owner            so does a change of owner
//	xattrs           a POSIX ACL sets the mode's bits for the group
//	mode
//	times            all of the above changes them
//	inode flags      an immutable file takes none of the above

// fileAttrs gives a regular file its attributes, its contents being there.
func (w *worker) fileAttrs(e *entry, src, dst int, a *attrs) error {
	if err := retry(func() error { return unix.Fchown(dst, a.uid, a.gid) }); err != nil {
		return w.failed(e.dir, e.name, "chown", err)
	}
	if err := w.copyXattrs(inode{fd: src}, inode{fd: dst}, nil); err != nil {
		return w.failed(e.dir, e.name, "xattr", err)
	}
	if err := retry(func() error { return unix.Fchmod(dst, a.mode) }); err != nil {
		return w.failed(e.dir, e.name, "chmod", err)
	}
	return w.times(e.dir, e.name, e.dst, e.name, a)
}

// beginAttrs reads a directory's attributes, before entries are read and made,
// and sets those that do not get in the way of that.
func (w *worker) beginAttrs(d *dir, src, dst int) error {
	var st unix.Statx_t
	if err := stat(src, &st); err != nil {
		return w.failed(d, "", "stat", err)
	}
	d.attrs = attrsOf(&st, w.flagsOf(src))
	if err := retry(func() error { return unix.Fchown(dst, d.attrs.uid, d.attrs.gid) }); err != nil {
		return w.failed(d, "", "chown", err)
	}
	if d.parent == nil {
		w.count(0, 1)
		if err := w.removeXattrs(inode{fd: dst}); err != nil {
			return w.failed(d, "", "xattr", err)
		}
	}
	if err := w.copyXattrs(inode{fd: src}, inode{fd: dst}, d); err != nil {
		return w.failed(d, "", "xattr", err)
	}
	return nil
}

// finishAttrs sets the rest, all entries being there.
func (w *worker) finishAttrs(d *dir, dst int) error {
	for _, x := range d.late {
		if err := setXattr(inode{fd: dst}, x.name, x.value); err != nil {
			return w.failed(d, "", "xattr", err)
		}
	}
	d.late = nil
	if err := retry(func() error { return unix.Fchmod(dst, d.attrs.mode) }); err != nil {
		return w.failed(d, "", "chmod", err)
	}
	if err := w.times(d, "", dst, ".", &d.attrs); err != nil {
		return err
	}
	flags := d.attrs.flags
	if d.parent == nil {
		flags &^= fixed // the caller is to rename it, and to write his record on it
	}
	setFlags(dst, flags)
	if err := w.durability.file(dst); err != nil {
		return w.failed(d, "", "sync", err)
	}
	return nil
}

func (w *worker) times(d *dir, name string, dirfd int, path string, a *attrs) error {
	err := retry(func() error { return unix.UtimesNanoAt(dirfd, path, a.times[:], unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return w.failed(d, name, "set times", err)
	}
	return nil
}
