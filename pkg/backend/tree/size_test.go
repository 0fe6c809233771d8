package tree_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
)

// maxDescriptors is what a copy takes at most, with room for what the process has.
const maxDescriptors = 500

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// TestDeep copies a tree that is deeper than any path can tell, with something to
// go back for at many levels.
func TestDeep(t *testing.T) {
	const levels = 20_000
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 1<<30)
			src := newDir(t, at)
			first := filepath.Join(src, "first")
			write(t, first, []byte("first"))
			dir, err := unix.Open(src, unix.O_PATH|unix.O_DIRECTORY, 0)
			must(t, err)
			for level := range levels {
				must(t, unix.Mkdirat(dir, "d", 0o700))
				if level%50 == 0 {
					must(t, unix.Mkdirat(dir, "beside", 0o750), unix.Mkdirat(dir, "beside/empty", 0o710))
				}
				if level%1000 == 0 {
					must(t, unix.Linkat(unix.AT_FDCWD, first, dir, "link", 0))
				}
				next, err := unix.Openat(dir, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
				must(t, err, unix.Close(dir))
				dir = next
			}
			must(t, unix.Close(dir))
			var most int
			_, result := checkCopy(t, src, at, tree.Options{Progress: func(tree.Stats) { most = max(most, descriptors(t)) }})
			if most == 0 || most > maxDescriptors {
				t.Errorf("%d descriptors were open, want at most %d", most, maxDescriptors)
			}
			if want := int64(levels + 2*levels/50 + 2); result.Inodes != want {
				t.Errorf("%d inodes, want %d", result.Inodes, want)
			}
		})
	}
}

// manyFiles makes n small files, half of them in one directory.
func manyFiles(t testing.TB, in string, n int) string {
	t.Helper()
	src := newDir(t, in)
	contents := bytes.Repeat([]byte("0123456789abcdef"), 64)
	for i := range n {
		dir := filepath.Join(src, "wide")
		if i%2 == 1 {
			dir = filepath.Join(src, fmt.Sprintf("narrow/%03d", i/2%100))
		}
		if i < 200 {
			must(t, os.MkdirAll(dir, 0o755))
		}
		write(t, filepath.Join(dir, fmt.Sprintf("file %06d", i)), contents[:i%len(contents)])
	}
	return src
}

func TestManyFiles(t *testing.T) {
	const files = 100_000
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 2<<30)
			src := manyFiles(t, at, files)
			var told []tree.Stats
			_, result := checkCopy(t, src, at, tree.Options{Sync: true, Progress: func(s tree.Stats) { told = append(told, s) }})
			if want := int64(files + 100 + 3); result.Inodes != want {
				t.Errorf("%d inodes, want %d", result.Inodes, want)
			}
			if len(told) < files/2000 || told[len(told)-1] != result.Stats {
				t.Errorf("progress was told %d times, the last time %+v, want %+v", len(told), told[len(told)-1], result.Stats)
			}
			for i := 1; i < len(told); i++ {
				if told[i].Inodes < told[i-1].Inodes || told[i].Bytes < told[i-1].Bytes {
					t.Fatalf("progress went from %+v to %+v", told[i-1], told[i])
				}
			}
		})
	}
}

// TestSharedBlocks looks at what a copy takes from the filesystem.
func TestSharedBlocks(t *testing.T) {
	const size = 64 << 20
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 1<<30)
			src := newDir(t, at)
			write(t, filepath.Join(src, "file"), bytes.Repeat([]byte(strings.Repeat("data", 1024)), size/4096))
			free := func() int64 {
				f := open(t, at)
				defer f.Close()
				must(t, unix.Syncfs(int(f.Fd())))
				var st unix.Statfs_t
				must(t, unix.Fstatfs(int(f.Fd()), &st))
				return int64(st.Bfree) * st.Frsize
			}
			took := func(o tree.Options) (int64, tree.Result) {
				before := free()
				_, result := checkCopy(t, src, at, o)
				return before - free(), result
			}
			auto, result := took(tree.Options{})
			if shares := sharesBlocks(kind); shares != (auto < size/8) || shares != (result.Cloned == 1) {
				t.Errorf("a copy of %d bytes took %d, %+v", size, auto, result)
			}
			if result.Bytes != size {
				t.Errorf("%d bytes were copied, want %d", result.Bytes, size)
			}
			never, result := took(tree.Options{Reflink: tree.Never})
			if never < size || result.Cloned != 0 || result.Bytes != size {
				t.Errorf("a copy that shares no blocks took %d, want %d; %+v", never, size, result)
			}
		})
	}
}
