package tree_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// single makes a sparse file, opened as a place only, and an empty one to copy it to.
func single(t *testing.T, at string) (src, dst *os.File) {
	t.Helper()
	dir := newDir(t, at)
	made, err := os.Create(filepath.Join(dir, "src"))
	must(t, err)
	defer made.Close()
	for _, offset := range []int64{0, 5 << 20, 8<<20 - 3} {
		_, err := made.WriteAt([]byte("end"), offset)
		must(t, err)
	}
	must(t, made.Truncate(9<<20), made.Sync())
	src, err = os.OpenFile(made.Name(), unix.O_PATH, 0)
	must(t, err)
	dst, err = os.Create(filepath.Join(dir, "dst"))
	must(t, err)
	t.Cleanup(func() { src.Close(); dst.Close() })
	return src, dst
}

func TestCopyFile(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 1<<30)
			for name, how := range map[string]tree.Reflink{"as it can": tree.Auto, "every byte": tree.Never} {
				src, dst := single(t, at)
				var told tree.Stats
				result, err := tree.CopyFile(t.Context(), src, dst, tree.Options{Reflink: how, Progress: func(s tree.Stats) { told = s }})
				must(t, err, dst.Sync())
				want, err := os.ReadFile(src.Name())
				must(t, err)
				got, err := os.ReadFile(dst.Name())
				must(t, err)
				if !bytes.Equal(got, want) || len(got) != 9<<20 {
					t.Errorf("%s: the copy of %d bytes has %d, and differs", name, len(want), len(got))
				}
				var st unix.Stat_t
				must(t, unix.Fstat(int(dst.Fd()), &st))
				if st.Blocks*512 > 1<<20 {
					t.Errorf("%s: %d bytes are allocated: holes are gone", name, st.Blocks*512)
				}
				if (result.Cloned == 1) != (how == tree.Auto && sharesBlocks(kind)) || result.Inodes != 1 || told != result.Stats {
					t.Errorf("%s: %+v, told was %+v", name, result, told)
				}
			}
		})
	}
}

func TestCopyFileRefuses(t *testing.T) {
	src, dst := single(t, newFS(t, "ext4", 64<<20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tree.CopyFile(ctx, src, dst, tree.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	dir, err := os.OpenFile(filepath.Dir(src.Name()), unix.O_PATH, 0)
	must(t, err)
	defer dir.Close()
	if _, err := tree.CopyFile(t.Context(), dir, dst, tree.Options{}); state.ReasonOf(err) != state.Defect {
		t.Errorf("a directory: %v", err)
	}
	if _, err := tree.CopyFile(t.Context(), src, dst, tree.Options{Reflink: tree.Always}); state.ReasonOf(err) != state.Unsupported {
		t.Errorf("sharing blocks on ext4: %v", err)
	}
	if st, err := dst.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("%d bytes were written, %v", st.Size(), err)
	}
}
