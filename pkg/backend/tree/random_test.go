package tree_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree/treetest"
)

// TestRandomTrees copies trees of all sorts of entries.
func TestRandomTrees(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 1<<30)
			rapid.Check(t, func(r *rapid.T) {
				src, dst := newDir(t, at), newDir(t, at)
				randomTree(r, src)
				o := tree.Options{
					Reflink:  rapid.SampledFrom([]tree.Reflink{tree.Auto, tree.Never}).Draw(r, "reflink"),
					Parallel: rapid.IntRange(0, 5).Draw(r, "parallel"),
				}
				a, b := open(t, src), open(t, dst)
				defer a.Close()
				defer b.Close()
				if _, err := tree.Copy(t.Context(), a, b, o); err != nil {
					r.Fatal(err)
				}
				if err := treetest.Equal(a, b, o); err != nil {
					r.Fatal(err)
				}
			})
		})
	}
}

var (
	anyName = rapid.Custom(func(r *rapid.T) string {
		b := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(r, "name")
		b = bytes.Map(func(c rune) rune {
			if c == '/' || c == 0 {
				return 'x'
			}
			return c
		}, b)
		if len(b) > 255 || string(b) == "." || string(b) == ".." {
			return "name"
		}
		return string(b)
	})
	anyTime = rapid.Custom(func(r *rapid.T) unix.Timespec {
		return unix.Timespec{
			Sec:  rapid.Int64Range(0, 1<<32).Draw(r, "seconds"), // what ext4 and XFS (bigtime) both have
			Nsec: rapid.Int64Range(0, 999_999_999).Draw(r, "nanoseconds"),
		}
	})
)

// randomTree fills a directory.
func randomTree(r *rapid.T, root string) {
	step := func(what string, err error) {
		if err != nil && !errors.Is(err, unix.EEXIST) {
			r.Fatalf("%s: %v", what, err)
		}
	}
	dirs, files := []string{root}, []string{}
	for range rapid.IntRange(0, 30).Draw(r, "entries") {
		path := filepath.Join(rapid.SampledFrom(dirs).Draw(r, "in"), anyName.Draw(r, "as"))
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		kind := rapid.SampledFrom([]string{"dir", "dir", "file", "file", "sparse", "link", "link", "symlink", "fifo", "socket", "device"}).Draw(r, "kind")
		switch kind {
		case "dir":
			step(kind, os.Mkdir(path, 0o700))
			dirs = append(dirs, path)
			continue
		case "file":
			step(kind, os.WriteFile(path, rapid.SliceOfN(rapid.Byte(), 0, 10_000).Draw(r, "contents"), 0o600))
		case "sparse":
			f, err := os.Create(path)
			step(kind, err)
			for range rapid.IntRange(0, 4).Draw(r, "pieces") {
				_, err := f.WriteAt([]byte("piece"), rapid.Int64Range(0, 8<<20).Draw(r, "at"))
				step(kind, err)
			}
			st, err := f.Stat()
			step(kind, err)
			step(kind, f.Truncate(st.Size()+rapid.Int64Range(0, 1<<20).Draw(r, "more")))
			step(kind, f.Close())
		case "link":
			if len(files) == 0 {
				continue
			}
			step(kind, os.Link(rapid.SampledFrom(files).Draw(r, "of"), path))
		case "symlink":
			step(kind, os.Symlink(anyName.Draw(r, "to"), path))
		case "fifo":
			step(kind, unix.Mkfifo(path, 0o600))
		case "socket":
			step(kind, unix.Mknod(path, unix.S_IFSOCK|0o600, 0))
		case "device":
			step(kind, unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(rapid.Uint32Range(0, 511).Draw(r, "major"), rapid.Uint32Range(0, 1<<18-1).Draw(r, "minor")))))
		}
		files = append(files, path)
	}
	randomAttrs(r, step, files)
	for i := len(dirs) - 1; i >= 0; i-- { // a directory's times after those of what is in it
		randomAttrs(r, step, dirs[i:i+1])
	}
}

func randomAttrs(r *rapid.T, step func(string, error), paths []string) {
	for _, path := range paths {
		if rapid.Bool().Draw(r, "plain") {
			continue
		}
		var st unix.Stat_t
		step("stat", unix.Lstat(path, &st))
		step("chown", os.Lchown(path, rapid.IntRange(0, 1<<31).Draw(r, "uid"), rapid.IntRange(0, 1<<31).Draw(r, "gid")))
		kind := st.Mode & unix.S_IFMT
		space := "trusted."
		if kind == unix.S_IFREG || kind == unix.S_IFDIR {
			space = rapid.SampledFrom([]string{"user.", "trusted.", "security."}).Draw(r, "namespace")
		}
		for range rapid.IntRange(0, 2).Draw(r, "attributes") {
			step("xattr", unix.Lsetxattr(path, space+rapid.StringMatching("[a-z.]{1,20}").Draw(r, "attribute"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "value"), 0))
		}
		if kind == unix.S_IFDIR && rapid.Bool().Draw(r, "default ACL") {
			step("acl", unix.Setxattr(path, "system.posix_acl_default", []byte(aclNarrow), 0))
		}
		if kind != unix.S_IFLNK {
			if rapid.Bool().Draw(r, "ACL") {
				step("acl", unix.Setxattr(path, "system.posix_acl_access", []byte(aclWide), 0))
			}
			step("chmod", unix.Chmod(path, rapid.Uint32Range(0, 0o7777).Draw(r, "mode")))
		}
		step("utimes", unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{anyTime.Draw(r, "atime"), anyTime.Draw(r, "mtime")}, unix.AT_SYMLINK_NOFOLLOW))
	}
}
