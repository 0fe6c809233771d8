package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
)

const sentinel = "nobody in the pod may read this"

// TestAttack copies a tree while others replace what is in it by what leads out of
// it, or holds up who opens it.
func TestAttack(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "tmpfs"} {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 1<<30)
			outside := newDir(t, at)
			must(t, os.MkdirAll(filepath.Join(outside, "sub/sub"), 0o700))
			for _, name := range []string{"file", "sub/file", "sub/sub/file"} {
				write(t, filepath.Join(outside, name), []byte(sentinel))
			}
			before, _ := checkCopy(t, outside, at, tree.Options{})
			src := newDir(t, at)
			arena(t, src, outside)

			root := open(t, src)
			opened := watchPipe(t, filepath.Join(src, "pipe"))
			var attackers sync.WaitGroup
			ctx, end := context.WithCancel(t.Context())
			var swaps atomic.Int64
			for i := range 4 {
				attackers.Go(func() {
					for ctx.Err() == nil {
						attack(root, i, &swaps)
					}
				})
			}
			var total tree.Result
			for copies := 0; copies < 30 || swaps.Load() < 20_000; copies++ {
				dst, result, err := copyTree(t, src, at, tree.Options{Parallel: 1 + copies%5})
				if err != nil {
					t.Error(err)
					break
				}
				total.Inodes += result.Inodes
				total.Vanished += result.Vanished
				checkInnocent(t, dst)
				must(t, os.RemoveAll(dst))
			}
			end()
			attackers.Wait()
			t.Logf("%d inodes copied, %d entries vanished, %d swaps", total.Inodes, total.Vanished, swaps.Load())
			if opened() {
				t.Error("a pipe was opened")
			}
			checkEqual(t, before, outside, tree.Options{})
		})
	}
}

// The entries that are swapped with each other, in each of the arena's directories.
var swapped = []string{"file", "pipe", "link", "device", "dir", "link to dir", "hard link"}

// arena makes directories with everything that may be swapped.
func arena(t *testing.T, src, outside string) {
	t.Helper()
	must(t, unix.Mkfifo(filepath.Join(src, "pipe"), 0o600))
	for i := range 4 {
		dir := filepath.Join(src, fmt.Sprint(i))
		p := func(name string) string { return filepath.Join(dir, name) }
		must(t, os.MkdirAll(p("dir/sub/sub"), 0o755))
		for _, name := range []string{"file", "dir/file", "dir/sub/file", "dir/sub/sub/file"} {
			write(t, p(name), bytes.Repeat([]byte("innocent"), 1000))
		}
		must(t, os.Link(p("file"), p("hard link")))
		must(t, os.Link(filepath.Join(src, "pipe"), p("pipe")))
		must(t, os.Symlink(filepath.Join(outside, "file"), p("link")))
		must(t, os.Symlink(outside, p("link to dir")))
		must(t, unix.Mknod(p("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 7)))) // full(4)
		for j := range 50 {
			write(t, p(fmt.Sprint("more", j)), []byte("innocent"))
		}
	}
}

// attack makes each swap once, and moves directories about.
func attack(src *os.File, i int, swaps *atomic.Int64) {
	dir, other := fmt.Sprint(i), fmt.Sprint((i+1)%4)
	exchange := func(a, b string) { move(src, a, b, unix.RENAME_EXCHANGE, swaps) }
	for j, a := range swapped {
		for _, b := range swapped[j+1:] {
			exchange(filepath.Join(dir, a), filepath.Join(dir, b))
		}
	}
	exchange(dir+"/dir/sub", dir+"/link to dir")
	exchange(dir+"/dir/sub", dir+"/dir/file")
	exchange(dir, other)
	exchange(dir+"/dir", other+"/link to dir")
	move(src, dir+"/dir/sub", dir+"/moving", 0, swaps)
	move(src, dir+"/moving", other+"/moving", 0, swaps)
	move(src, other+"/moving", dir+"/dir/sub", 0, swaps)
	// A name that comes and goes.
	fd, err := beneath(src, dir)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.Unlinkat(fd, "more1", 0)
	_ = unix.Symlinkat("/etc/passwd", fd, "more1")
	_ = unix.Unlinkat(fd, "more1", 0)
	_ = unix.Linkat(fd, "more2", fd, "more1", 0)
}

// move renames within src. The attacker's own calls do not lead out of it: those of
// a pod cannot.
func move(src *os.File, from, to string, flags uint, swaps *atomic.Int64) {
	fromDir, err := beneath(src, filepath.Dir(from))
	if err != nil {
		return
	}
	defer unix.Close(fromDir)
	toDir, err := beneath(src, filepath.Dir(to))
	if err != nil {
		return
	}
	defer unix.Close(toDir)
	if unix.Renameat2(fromDir, filepath.Base(from), toDir, filepath.Base(to), flags) == nil {
		swaps.Add(1)
	}
}

func beneath(src *os.File, path string) (int, error) {
	return unix.Openat2(int(src.Fd()), path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
}

// watchPipe returns a function that tells whether anybody has opened a pipe for
// reading since.
func watchPipe(t *testing.T, path string) (opened func() bool) {
	t.Helper()
	// Held open as a place: its name will be another's.
	place, err := unix.Open(path, unix.O_PATH, 0)
	must(t, err)
	proc := fmt.Sprintf("/proc/self/fd/%d", place)
	done := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(proc, os.O_WRONLY, 0) // until there is a reader
		if err == nil {
			err = w.Close()
		}
		done <- err
	}()
	return func() bool {
		defer unix.Close(place)
		select {
		case err := <-done:
			must(t, err)
			return true
		default:
		}
		for { // a writer that has not come yet is not to wait for ever
			r, err := unix.Open(proc, unix.O_RDONLY|unix.O_NONBLOCK, 0)
			must(t, err)
			select {
			case err := <-done:
				must(t, err, unix.Close(r))
				return false
			default:
				must(t, unix.Close(r))
			}
		}
	}
}

// checkInnocent looks through a copy without following links.
func checkInnocent(t *testing.T, dst string) {
	t.Helper()
	must(t, filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if rest := strings.ReplaceAll(string(data), "innocent", ""); rest != "" {
			return errors.New(path + " holds " + rest[:min(len(rest), 100)])
		}
		return nil
	}))
}
