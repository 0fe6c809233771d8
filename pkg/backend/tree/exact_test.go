package tree_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/tree"
)

// xattr attributes as setfacl(1) and setcap(8) make them.
var (
	acl = func(entries ...uint64) string { // tag<<48 | perm<<32 | id
		b := binary.LittleEndian.AppendUint32(nil, 2)
		for _, e := range entries {
			b = binary.LittleEndian.AppendUint16(b, uint16(e>>48))
			b = binary.LittleEndian.AppendUint16(b, uint16(e>>32))
			b = binary.LittleEndian.AppendUint32(b, uint32(e))
		}
		return string(b)
	}
	none      = uint64(0xffffffff)
	aclWide   = acl(1<<48|7<<32|none, 2<<48|7<<32|12345, 4<<48|5<<32|none, 0x10<<48|7<<32|none, 0x20<<48|1<<32|none)
	aclNarrow = acl(1<<48|6<<32|none, 2<<48|4<<32|54321, 4<<48|0<<32|none, 0x10<<48|4<<32|none, 0x20<<48|0<<32|none)
	// cap_net_raw+ep, revision 2
	capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

const page = 4096

var old = []unix.Timespec{{Sec: 1_000_000_000, Nsec: 123_456_789}, {Sec: 1_234_567_890, Nsec: 987_654_321}}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(path, data, 0o600))
}

// sparse writes data at places of a file of a size.
func sparse(t testing.TB, path string, size int64, at ...int64) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	for _, off := range at {
		_, err := f.WriteAt(bytes.Repeat([]byte{byte(off>>12) | 1}, page), off)
		must(t, err)
	}
	must(t, f.Truncate(size), f.Close())
}

// everything has one of each, and each has what it can have.
func everything(t testing.TB, in string) string {
	t.Helper()
	at := newDir(t, in)
	p := func(name string) string { return filepath.Join(at, name) }
	xattr := func(name, attr, value string) {
		t.Helper()
		if err := unix.Lsetxattr(p(name), attr, []byte(value), 0); err != nil {
			t.Fatalf("%s of %q: %v", attr, name, err)
		}
	}
	write(t, p("empty"), nil)
	write(t, p("small"), []byte("small"))
	write(t, p("pages"), bytes.Repeat([]byte("0123456789abcdef"), 300<<10/16))
	sparse(t, p("sparse"), 64<<20, 0, 1<<20, 7<<20, 40<<20)
	sparse(t, p("hole"), 1<<20+1)
	sparse(t, p("starts with a hole"), 3<<20+page, 3<<20)
	sparse(t, p("ends with a hole"), 5<<20+123, 0)
	must(t, os.Mkdir(p("dir"), 0o755), os.Mkdir(p("dir/empty"), 0o511), os.Mkdir(p("dir/sub"), 0o700))
	write(t, p("dir/sub/file"), []byte("below"))
	must(t, os.Link(p("small"), p("link")), os.Link(p("small"), p("dir/sub/link")))
	must(t, os.Symlink("small", p("symlink")), os.Symlink("/etc/passwd", p("out")), os.Symlink(strings.Repeat("x/", 500), p("dangling")))
	must(t, os.Link(p("symlink"), p("dir/linked symlink")))
	must(t, unix.Mkfifo(p("fifo"), 0o640), os.Link(p("fifo"), p("dir/fifo")))
	must(t, unix.Mknod(p("socket"), unix.S_IFSOCK|0o600, 0))
	must(t, unix.Mknod(p("char"), unix.S_IFCHR|0o620, int(unix.Mkdev(300, 70000))))
	must(t, unix.Mknod(p("block"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 255))))
	for _, name := range []string{"\xff\xfe\n\t*", strings.Repeat("n", 255), "-rf", "...", "a\\b\"c'd"} {
		write(t, p(name), []byte(name))
	}

	must(t, os.Lchown(p("pages"), 1000, 2000), os.Lchown(p("symlink"), 11, 12), os.Lchown(p("dir/sub"), 77, 78))
	must(t, os.Lchown(p("fifo"), 5, 6), os.Lchown(p("char"), 7, 8))
	xattr("small", "user.note", "a value")
	xattr("small", "user.empty", "")
	xattr("small", "trusted.secret", strings.Repeat("s", 1500))
	xattr("pages", "security.capability", capability)
	xattr("dir", "system.posix_acl_access", aclWide)
	xattr("dir", "system.posix_acl_default", aclNarrow)
	xattr("dir/sub/file", "system.posix_acl_access", aclNarrow)
	xattr("dir/sub", "user.dir", "d")
	xattr("symlink", "trusted.of.symlink", "s")
	xattr("fifo", "trusted.of.fifo", "f")
	xattr("char", "security.of.char", "c")
	xattr("", "user.root", "r")
	xattr("", "system.posix_acl_default", aclWide)

	for name, mode := range map[string]uint32{
		"pages": 0o6755, "empty": 0, "dir": 0o3777, "dir/sub": 0o2070, "": 0o2751, "fifo": 0o4123, "small": 0o1644,
	} {
		must(t, unix.Chmod(p(name), mode))
	}
	xattr("pages", "security.capability", capability) // chmod keeps it; a chown would not
	for _, name := range []string{"small", "pages", "sparse", "symlink", "out", "fifo", "socket", "char", "block", "dir/sub", "dir/empty", "dir", ""} {
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, p(name), old, unix.AT_SYMLINK_NOFOLLOW))
	}
	return at
}

func TestExact(t *testing.T) {
	at := map[string]string{}
	for _, kind := range kinds {
		at[kind] = newFS(t, kind, 512<<20)
	}
	for _, from := range kinds {
		src := everything(t, at[from])
		for _, to := range kinds {
			for _, o := range []tree.Options{
				{}, {Reflink: tree.Never}, {Parallel: 1}, {Parallel: 1000, Sync: true},
			} {
				t.Run(fmt.Sprintf("%s to %s, %+v", from, to, o), func(t *testing.T) {
					_, result := checkCopy(t, src, at[to], o)
					if want := inodes(t, src); result.Inodes != want {
						t.Errorf("%d inodes, want %d", result.Inodes, want)
					}
					if shared := from == to && sharesBlocks(from) && o.Reflink != tree.Never; shared != (result.Cloned > 0) {
						t.Errorf("%d files share blocks", result.Cloned)
					}
				})
			}
		}
	}
}

// inodes counts them in a tree.
func inodes(t testing.TB, root string) int64 {
	t.Helper()
	met := map[uint64]bool{}
	must(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		met[st.Ino] = true
		return nil
	}))
	return int64(len(met))
}

// TestSymlinkTimes is about what treetest.Equal leaves out.
func TestSymlinkTimes(t *testing.T) {
	at := newFS(t, "ext4", 64<<20)
	src := newDir(t, at)
	must(t, os.Symlink("x", filepath.Join(src, "s")), unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(src, "s"), old, unix.AT_SYMLINK_NOFOLLOW))
	dst, _ := checkCopy(t, src, at, tree.Options{})
	var st unix.Stat_t
	must(t, unix.Lstat(filepath.Join(dst, "s"), &st))
	if st.Atim != old[0] || st.Mtim != old[1] {
		t.Errorf("times are %v and %v, want %v", st.Atim, st.Mtim, old)
	}
}

// TestSourceIsNotTouched: not even by noting when it was read.
func TestSourceIsNotTouched(t *testing.T) {
	at := newFS(t, "ext4", 64<<20)
	must(t, unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_STRICTATIME, ""))
	src := newDir(t, at)
	must(t, os.Mkdir(filepath.Join(src, "dir"), 0o755))
	write(t, filepath.Join(src, "dir/file"), []byte("contents"))
	for _, name := range []string{"dir/file", "dir", ""} {
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(src, name), old, 0))
	}
	checkCopy(t, src, at, tree.Options{})
	for _, name := range []string{"dir/file", "dir", ""} {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(src, name), &st))
		if st.Atim != old[0] {
			t.Errorf("%q was accessed %v", name, st.Atim)
		}
	}
}

func TestRootXattrs(t *testing.T) {
	at := newFS(t, "xfs", 512<<20)
	src, dst := newDir(t, at), newDir(t, at)
	const record = "trusted.record"
	must(t, unix.Setxattr(src, record, []byte("source's"), 0), unix.Setxattr(src, "user.a", []byte("a"), 0))
	must(t, unix.Setxattr(dst, record, []byte("destination's"), 0), unix.Setxattr(dst, "user.b", []byte("b"), 0))
	must(t, unix.Setxattr(dst, "system.posix_acl_default", []byte(aclWide), 0))
	write(t, filepath.Join(src, "file"), nil)
	o := tree.Options{SkipXattrs: []string{record}}
	_, err := tree.Copy(t.Context(), open(t, src), open(t, dst), o)
	must(t, err)
	checkEqual(t, src, dst, o)
	buf := make([]byte, 100)
	n, err := unix.Getxattr(dst, record, buf)
	if err != nil || string(buf[:n]) != "destination's" {
		t.Errorf("%s is %q, %v", record, buf[:max(n, 0)], err)
	}
}

// Flags of chattr(1).
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
	flagNoDump    = 0x40
	flagNoCow     = 0x800000
)

func setFlags(t testing.TB, path string, flags int) {
	t.Helper()
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	must(t, err)
	defer f.Close()
	now, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	must(t, err)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, now|flags); err != nil {
		t.Fatalf("flags %#x of %s: %v", flags, path, err)
	}
}

func TestFlags(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			at := newFS(t, kind, 512<<20)
			src := newDir(t, at)
			p := func(name string) string { return filepath.Join(src, name) }
			must(t, os.Mkdir(p("dir"), 0o755), os.Mkdir(p("dir/immutable"), 0o755), os.Mkdir(p("a"), 0o755), os.Mkdir(p("z"), 0o755))
			for _, name := range []string{"immutable", "append", "dir/immutable/file", "nodump"} {
				write(t, p(name), []byte(name))
			}
			if kind == "btrfs" {
				must(t, os.WriteFile(p("nocow"), nil, 0o600))
				setFlags(t, p("nocow"), flagNoCow)
				write(t, p("nocow"), bytes.Repeat([]byte("database"), 1000))
			}
			// Flags that forbid links, on what has several names.
			must(t, os.Link(p("immutable"), p("a/link")), os.Link(p("immutable"), p("z/link")))
			setFlags(t, p("immutable"), flagImmutable)
			setFlags(t, p("append"), flagAppend|flagNoDump)
			setFlags(t, p("nodump"), flagNoDump)
			setFlags(t, p("dir/immutable"), flagImmutable)
			setFlags(t, src, flagAppend|flagNoDump)

			dst, result := checkCopy(t, src, at, tree.Options{Sync: true})
			if want := int64(4); sharesBlocks(kind) && result.Cloned < want {
				t.Errorf("%d files share blocks, want %d", result.Cloned, want)
			}
			if err := os.WriteFile(filepath.Join(dst, "immutable"), nil, 0o600); err == nil {
				t.Error("an immutable file of the copy can be written")
			}
			if err := os.Rename(dst, dst+".renamed"); err != nil {
				t.Errorf("the copy cannot be renamed: %v", err)
			}
		})
	}
}
