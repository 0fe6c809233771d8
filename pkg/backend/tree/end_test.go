package tree_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// checkLeaks runs f and tells what it left.
func checkLeaks(t *testing.T, f func()) {
	t.Helper()
	fds, routines := descriptors(t), runtime.NumGoroutine()
	f()
	if n := descriptors(t); n != fds {
		t.Errorf("%d descriptors are open, %d were", n, fds)
	}
	for range 1_000_000 { // one that has done its last may not have gone yet
		if runtime.NumGoroutine() <= routines {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines run, %d did", runtime.NumGoroutine(), routines)
}

func TestCancel(t *testing.T) {
	at := newFS(t, "xfs", 1<<30)
	src := manyFiles(t, at, 20_000)
	for _, after := range []int64{0, 1, 5000, 19_000} {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			s, d := open(t, src), open(t, newDir(t, at))
			checkLeaks(t, func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if after == 0 {
					cancel()
				}
				result, err := tree.Copy(ctx, s, d, tree.Options{Progress: func(done tree.Stats) {
					if done.Inodes >= after {
						cancel()
					}
				}})
				if !errors.Is(err, context.Canceled) || state.ReasonOf(err) != state.Canceled {
					t.Errorf("error is %v (%s)", err, state.ReasonOf(err))
				}
				if result.Inodes > after+2000 {
					t.Errorf("copied %d inodes, the copy ended at %d", result.Inodes, after)
				}
			})
		})
	}
}

// TestCancelBigFile: a file that takes long does not keep the copy from ending.
func TestCancelBigFile(t *testing.T) {
	at := newFS(t, "tmpfs", 1<<30)
	src := newDir(t, at)
	f, err := os.Create(filepath.Join(src, "file"))
	must(t, err, unix.Fallocate(int(f.Fd()), 0, 0, 256<<20), f.Close())
	ctx, cancel := context.WithCancel(t.Context())
	s, d := open(t, src), open(t, newDir(t, at))
	checkLeaks(t, func() {
		result, err := tree.Copy(ctx, s, d, tree.Options{Reflink: tree.Never, Progress: func(tree.Stats) { cancel() }})
		if !errors.Is(err, context.Canceled) || result.Bytes > 128<<20 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

func TestNoLeaks(t *testing.T) {
	at := newFS(t, "xfs", 512<<20)
	src := everything(t, at)
	dst := newDir(t, at)
	s, d := open(t, src), open(t, dst)
	checkLeaks(t, func() {
		_, err := tree.Copy(t.Context(), s, d, tree.Options{})
		must(t, err)
	})
	checkLeaks(t, func() {
		_, err := tree.Copy(t.Context(), s, d, tree.Options{})
		if err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("copying to a directory that is not empty: %v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	big := newFS(t, "ext4", 512<<20)
	src := newDir(t, big)
	must(t, os.MkdirAll(filepath.Join(src, "a/b"), 0o755))
	write(t, filepath.Join(src, "a/b/file\n"), make([]byte, 8<<20))
	few := newDir(t, big)
	for i := range 200 {
		write(t, filepath.Join(few, fmt.Sprint(i)), nil)
	}
	fat := newDir(t, big)
	write(t, filepath.Join(fat, "capable"), nil)
	must(t, unix.Setxattr(filepath.Join(fat, "capable"), "user.x", []byte("x"), 0))

	small := filesystem.New(t, "tmpfs", 4<<20)
	inodes := filesystem.New(t, "tmpfs", 64<<20, filesystem.MountOptions("nr_inodes=50"))
	noXattrs := filesystem.New(t, "ramfs", 0)
	for name, c := range map[string]struct {
		src, in string
		o       tree.Options
		reason  state.Reason
		text    string
	}{
		"no space":       {src, small, tree.Options{}, state.NoSpace, `"a/b/file\n"`},
		"no inodes":      {few, inodes, tree.Options{}, state.NoSpace, "create"},
		"no sharing":     {src, big, tree.Options{Reflink: tree.Always}, state.Unsupported, `"a/b/file\n"`},
		"no such xattrs": {fat, noXattrs, tree.Options{}, state.Unsupported, `user.x`},
		"in itself":      {src, filepath.Join(src, "a"), tree.Options{}, state.Defect, "lies in the source"},
	} {
		t.Run(name, func(t *testing.T) {
			dst := newDir(t, c.in)
			s, d := open(t, c.src), open(t, dst)
			checkLeaks(t, func() {
				_, err := tree.Copy(t.Context(), s, d, c.o)
				if state.ReasonOf(err) != c.reason || err == nil || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error is %v (%s), want %s of %s", err, state.ReasonOf(err), c.reason, c.text)
				}
			})
			must(t, os.RemoveAll(dst))
		})
	}
	t.Run("onto itself", func(t *testing.T) {
		d := open(t, newDir(t, big))
		if _, err := tree.Copy(t.Context(), d, d, tree.Options{}); err == nil {
			t.Error("a directory can be copied onto itself")
		}
	})
}
