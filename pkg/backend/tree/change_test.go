package tree_test

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// TestChangingFile changes a file in the middle of its copy: there the progress of
// 64 MiB is told.
func TestChangingFile(t *testing.T) {
	const size = 80 << 20
	at := newFS(t, "tmpfs", 1<<30)
	contents := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	for name, c := range map[string]struct {
		holes  bool
		change func(f *os.File) error
		want   int64 // the least size of the copy
	}{
		"grows":              {false, func(f *os.File) error { _, err := f.WriteAt(contents, size); return err }, size},
		"grows, with holes":  {true, func(f *os.File) error { _, err := f.WriteAt(contents, size); return err }, size},
		"shrinks":            {false, func(f *os.File) error { return f.Truncate(size / 4) }, 64 << 20},
		"shrinks with holes": {true, func(f *os.File) error { return f.Truncate(size / 4) }, 64 << 20},
		"vanishes":           {false, func(f *os.File) error { return os.Remove(f.Name()) }, size},
		"becomes a pipe": {false, func(f *os.File) error {
			if err := unix.Mkfifo(f.Name()+".pipe", 0o600); err != nil {
				return err
			}
			return os.Rename(f.Name()+".pipe", f.Name())
		}, size},
	} {
		t.Run(name, func(t *testing.T) {
			src := newDir(t, at)
			f, err := os.Create(filepath.Join(src, "file"))
			must(t, err)
			defer f.Close()
			_, err = f.Write(contents)
			must(t, err)
			if c.holes {
				must(t, unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 1<<20, 2<<20))
			}
			changed := false
			dst, result, err := copyTree(t, src, at, tree.Options{Progress: func(tree.Stats) {
				if !changed {
					changed = true
					must(t, c.change(f))
				}
			}})
			must(t, err)
			st, err := os.Lstat(filepath.Join(dst, "file"))
			must(t, err)
			if st.Size() < c.want || st.Size() > size || !st.Mode().IsRegular() {
				t.Errorf("the copy is a %v of %d bytes, want %d to %d; %+v", st.Mode(), st.Size(), c.want, size, result)
			}
			must(t, os.RemoveAll(src), os.RemoveAll(dst))
		})
	}
}

// TestVanishing removes most of a tree when the first thousand inodes are copied.
func TestVanishing(t *testing.T) {
	at := newFS(t, "xfs", 512<<20)
	src := newDir(t, at)
	for i := range 50 {
		dir := filepath.Join(src, fmt.Sprint(i))
		must(t, os.Mkdir(dir, 0o755))
		for j := range 100 {
			write(t, filepath.Join(dir, fmt.Sprint(j)), nil)
		}
	}
	removed := false
	dst, result, err := copyTree(t, src, at, tree.Options{Parallel: 1, Progress: func(tree.Stats) {
		if !removed {
			removed = true
			dirs, err := filepath.Glob(filepath.Join(src, "*"))
			must(t, err)
			for _, d := range dirs {
				must(t, os.RemoveAll(d))
			}
		}
	}})
	must(t, err)
	if result.Inodes < 1000 || result.Inodes > 1200 || result.Vanished < 10 {
		t.Errorf("%+v", result)
	}
	if n := inodes(t, dst); n != result.Inodes {
		t.Errorf("the copy has %d inodes, the result says %d", n, result.Inodes)
	}
}

// TestMovedDirectories moves directories away that are too far up to be open still,
// and puts others in their place. What was not listed of them is left out.
func TestMovedDirectories(t *testing.T) {
	const levels, moved = 600, 20
	at := newFS(t, "xfs", 512<<20)
	src := newDir(t, at)
	path := src
	for level := range levels {
		if level < moved { // more than is listed at once
			for i := range 200 {
				write(t, filepath.Join(path, fmt.Sprintf("%0250d", i)), nil)
			}
		}
		path = filepath.Join(path, "d")
		must(t, os.Mkdir(path, 0o755))
	}
	once := false
	_, result, err := copyTree(t, src, at, tree.Options{Parallel: 1, Progress: func(s tree.Stats) {
		if deep := filepath.Join(src, strings.Repeat("d/", moved)); !once && s.Inodes > 3000 {
			once = true
			for i := range moved {
				must(t, os.Rename(deep, filepath.Join(src, fmt.Sprint("moved", i))))
				deep = filepath.Dir(filepath.Clean(deep))
			}
			must(t, os.MkdirAll(filepath.Join(src, strings.Repeat("d/", moved+2)), 0o755))
		}
	}})
	must(t, err)
	if !once || result.Vanished == 0 {
		t.Errorf("moved: %v, %+v", once, result)
	}
}

func TestMount(t *testing.T) {
	at := newFS(t, "xfs", 512<<20)
	src := newDir(t, at)
	for _, dir := range []string{"mnt", "kept"} {
		must(t, os.Mkdir(filepath.Join(src, dir), 0o755))
		write(t, filepath.Join(src, dir, "file"), []byte(dir))
	}
	write(t, filepath.Join(src, "mounted file"), []byte("below"))
	outside := newDir(t, at)
	write(t, filepath.Join(outside, "secret"), []byte("secret"))
	filesystem.Mount(t, outside, filepath.Join(src, "mnt"), "", unix.MS_BIND)
	filesystem.Mount(t, filepath.Join(outside, "secret"), filepath.Join(src, "mounted file"), "", unix.MS_BIND)
	dst, result, err := copyTree(t, src, at, tree.Options{})
	must(t, err)
	if result.Mounts != 2 || result.Vanished != 0 {
		t.Errorf("%+v, want 2 mounts", result)
	}
	entries, err := os.ReadDir(dst)
	if err != nil || len(entries) != 1 || entries[0].Name() != "kept" {
		t.Errorf("the copy holds %v, %v, want kept only", entries, err)
	}
}

// TestLease copies a file that another process would rather keep to itself.
func TestLease(t *testing.T) {
	at := newFS(t, "ext4", 64<<20)
	src := newDir(t, at)
	path := filepath.Join(src, "file")
	write(t, path, []byte("leased"))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, unix.SIGIO)
	defer signal.Stop(asked)
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	must(t, err)
	done := make(chan error)
	go func() {
		<-asked
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
		done <- err
	}()
	checkCopy(t, src, at, tree.Options{})
	must(t, <-done)
}
