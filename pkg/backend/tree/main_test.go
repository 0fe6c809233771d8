package tree_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree/treetest"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

// kinds are the filesystems that copies are made on: two that share blocks, and two
// that do not.
var kinds = []string{"ext4", "xfs", "btrfs", "tmpfs"}

func sharesBlocks(kind string) bool { return kind == "xfs" || kind == "btrfs" }

// newFS makes a filesystem that does not note who reads what: listing a tree or
// reading its links before it is copied shall not change it.
func newFS(t testing.TB, kind string, size int64) string {
	var opts []filesystem.Option
	if kind == "ext4" && size >= 1<<30 { // for the tests with many files
		opts = append(opts, filesystem.MkfsArgs("-N", "300000"))
	}
	return filesystem.New(t, kind, size, append(opts, filesystem.MountFlags(unix.MS_NOATIME))...)
}

var made atomic.Int64

// newDir makes an empty directory.
func newDir(t testing.TB, in string) string {
	t.Helper()
	path := filepath.Join(in, "dir"+strconv.FormatInt(made.Add(1), 10))
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOATIME, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// copyTree copies src to a new directory.
func copyTree(t testing.TB, src, in string, o tree.Options) (string, tree.Result, error) {
	t.Helper()
	dst := newDir(t, in)
	s, d := open(t, src), open(t, dst)
	defer s.Close()
	defer d.Close()
	result, err := tree.Copy(t.Context(), s, d, o)
	return dst, result, err
}

// checkCopy copies src to a new directory and compares the two.
func checkCopy(t testing.TB, src, in string, o tree.Options) (string, tree.Result) {
	t.Helper()
	dst, result, err := copyTree(t, src, in, o)
	if err != nil {
		t.Fatal(err)
	}
	if result.Vanished != 0 || result.Mounts != 0 {
		t.Errorf("entries were left out: %+v", result)
	}
	checkEqual(t, src, dst, o)
	return dst, result
}

func checkEqual(t testing.TB, a, b string, o tree.Options) {
	t.Helper()
	fa, fb := open(t, a), open(t, b)
	defer fa.Close()
	defer fb.Close()
	if err := treetest.Equal(fa, fb, o); err != nil {
		t.Errorf("the copy is not equal:\n%v", err)
	}
}

// must fails the test if a step of its preparation does.
func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
