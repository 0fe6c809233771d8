package tree_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
)

var benchmarks = []struct {
	kind string
	o    tree.Options
}{
	{"xfs", tree.Options{}}, {"xfs", tree.Options{Sync: true}}, {"xfs", tree.Options{Reflink: tree.Never}},
	{"btrfs", tree.Options{}}, {"btrfs", tree.Options{Sync: true}},
	{"ext4", tree.Options{}}, {"ext4", tree.Options{Reflink: tree.Never}}, {"ext4", tree.Options{Sync: true}},
	{"tmpfs", tree.Options{}}, {"tmpfs", tree.Options{Reflink: tree.Never}},
}

// bench copies what prepare makes, again and again.
func bench(b *testing.B, size int64, prepare func(b *testing.B, in string) string) {
	for _, c := range benchmarks {
		reflink := map[tree.Reflink]string{tree.Auto: "auto", tree.Never: "never"}[c.o.Reflink]
		b.Run(fmt.Sprintf("%s/reflink=%s/sync=%v", c.kind, reflink, c.o.Sync), func(b *testing.B) {
			at := newFS(b, c.kind, 2<<30)
			src := prepare(b, at)
			root := open(b, at)
			defer root.Close()
			must(b, unix.Syncfs(int(root.Fd())))
			var inodes int64
			for b.Loop() {
				dst, result, err := copyTree(b, src, at, c.o)
				must(b, err)
				inodes += result.Inodes
				b.StopTimer()
				must(b, os.RemoveAll(dst), unix.Syncfs(int(root.Fd())))
				b.StartTimer()
			}
			b.SetBytes(size)
			b.ReportMetric(float64(inodes)/b.Elapsed().Seconds(), "inodes/s")
		})
	}
}

func BenchmarkBigFile(b *testing.B) {
	const size = 256 << 20
	bench(b, size, func(b *testing.B, in string) string {
		src := newDir(b, in)
		f, err := os.Create(filepath.Join(src, "file"))
		must(b, err)
		defer f.Close()
		random := rand.NewChaCha8([32]byte{})
		buf := make([]byte, 1<<20)
		for range size / len(buf) {
			_, _ = random.Read(buf)
			_, err := f.Write(buf)
			must(b, err)
		}
		return src
	})
}

func BenchmarkSmallFiles(b *testing.B) {
	const files = 10_000
	bench(b, files*512, func(b *testing.B, in string) string { return manyFiles(b, in, files) })
}
