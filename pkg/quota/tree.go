package quota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Tree counts what SetTreeProject did.
type Tree struct {
	// Files and Directories carry the project now.
	Files, Directories int64
	// Left are those that carry what they carried before: symbolic links, devices,
	// pipes and sockets, whose project no descriptor can change. They take no blocks
	// worth counting, but are not renamed or linked within the tree (EXDEV) by kernels
	// that do not make an exception for them.
	Left int64
}

// maxTreeDepth bounds the descriptors that a walk holds: one for each level.
const maxTreeDepth = 2048

// SetTreeProject makes the directory and all that is in it files of the project, so
// that a tree which was there before becomes a volume that is counted and limited. A
// directory comes before what is in it: what is made meanwhile carries the project
// already. So it is safe, though not atomic, while the tree is in use; done again, it
// completes what was cut short.
//
// The tree may be hostile: nothing is opened by more than one name beneath an open
// directory, no symbolic link followed, no other mount entered, no device or pipe
// opened. A file that has other links outside of the tree changes for those, too.
// It needs /proc.
func SetTreeProject(ctx context.Context, dir *os.File, id uint32) (Tree, error) {
	w := treeWalk{ctx: ctx, id: id}
	err := w.file(int(dir.Fd()), ".", 0)
	return w.Tree, err
}

type treeWalk struct {
	Tree
	ctx context.Context
	id  uint32
}

// file gives the named file of a directory the project, and what is in it.
func (w *treeWalk) file(dirfd int, name string, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	f, kind, err := openPlain(dirfd, name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EXDEV): // removed meanwhile; another mount
		return nil
	case err != nil:
		return fmt.Errorf("opening %q to give it project %d: %w", name, w.id, err)
	case f == nil:
		w.Left++
		return nil
	}
	defer f.Close()
	if err := SetProject(f, w.id); err != nil {
		return err
	}
	if kind != unix.S_IFDIR {
		w.Files++
		return nil
	}
	w.Directories++
	if depth == maxTreeDepth {
		return state.Errorf(state.Unsupported, "project %d is not given to directories more than %d deep", w.id, maxTreeDepth)
	}
	for {
		names, err := f.Readdirnames(256)
		for _, n := range names {
			if err := w.file(int(f.Fd()), n, depth+1); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing %q to give it project %d: %w", name, w.id, err)
		}
	}
}

// openPlain opens a regular file or a directory for reading, and nothing else: then f
// is nil. What it is is looked at through the descriptor that is opened, since a name
// may mean something else the next moment.
func openPlain(dirfd int, name string) (f *os.File, kind uint32, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV}
	fd, err := unix.Openat2(dirfd, name, &how)
	for errors.Is(err, unix.EINTR) || errors.Is(err, unix.EAGAIN) { // EAGAIN: a rename raced the lookup
		fd, err = unix.Openat2(dirfd, name, &how)
	}
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, 0, err
	}
	kind = st.Mode & unix.S_IFMT
	if kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return nil, kind, nil
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	return os.NewFile(uintptr(again), name), kind, nil
}
