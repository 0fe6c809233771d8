package mount

import (
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Unused returns nil if nobody has mounted what lies at a path of the pool in dir, whatever
// that is: no mount shows it or a part of it, none lies in it, and no loop device has a file
// of it. Otherwise InUse, with where. Files that processes have open are not seen.
func Unused(dir, path string) error {
	t := &Table{kernel: linux{}}
	mounts, err := t.mounts()
	if err != nil {
		return err
	}
	p, err := t.findPool(dir, mounts)
	if err != nil {
		return err
	}
	at := filepath.Join(p.dir, path)
	for _, m := range mounts {
		if _, in := beneath(at, m.Mountpoint); in {
			return state.Errorf(state.InUse, "something is mounted at %s: unmount it first", state.Quote(m.Mountpoint))
		}
		if _, of := beneath(p.root+"/"+path, m.Root); of && m.Major == p.major && m.Minor == p.minor {
			return state.Errorf(state.InUse, "it is mounted at %s: unmount it first", state.Quote(m.Mountpoint))
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(at, &st); err != nil {
		return state.Errorf(reasonOf(err), "looking at %s: %w", state.Quote(at), err)
	}
	base := filepath.Base(at)
	attached, err := t.loops.Find(func(file string) bool {
		_, in := beneath(at, file)
		return in || filepath.Base(file) == base
	})
	if err != nil {
		return err
	}
	defer loop.Close(attached)
	for _, a := range attached {
		if _, in := beneath(at, a.FilePath()); in || a.File == (loop.File{Dev: st.Dev, Ino: st.Ino}) {
			return state.Errorf(state.InUse, "%s is a device of it: free it first (losetup -d)", loop.Path(a.Number))
		}
	}
	return nil
}
