package backendtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

var purgeTests = []test{
	{"a tree that is wide where it is deep is purged", purgeDeepAndWide},
	{"a purge with a context that ended removes nothing", purgeCanceled},
	{"symbolic links are purged and not followed", purgeSymlinks},
	{"devices, pipes and sockets are purged", purgeSpecialFiles},
	{"names of any bytes are purged", purgeNames},
	{"immutable and append-only files are purged", purgeImmutable},
	{"files and directories of any mode are purged", purgeModes},
	{"an entry that is not there is purged", purgeNothing},
	{"an entry that is no directory is purged", purgeFile},
	{"several entries are purged at the same time", purgeParallel},
}

// purgeStepwiseTests are for backends that remove file by file.
var purgeStepwiseTests = []test{
	{"a tree deeper than the longest path is purged, and told of", purgeDeep},
	{"a purge that was cut short is resumed", purgeResumed},
	{"hard links are purged", purgeHardLinks},
	{"a mount is not entered", purgeMount},
}

// purgeAtOnceTests are for backends that remove a volume in one step.
var purgeAtOnceTests = []test{
	{"a tree deeper than the longest path is purged", purgeDeepAtOnce},
}

// trash creates a volume, has it filled, and discards it.
func (p *pool) trash(t *testing.T, id string, fill func(dir string)) state.Volume {
	t.Helper()
	v := volume(id)
	v.Spec.CapacityBytes = 256 * mib // the directories of a deep tree take a block each
	v = p.create(t, v)
	fill(p.placed(v))
	p.discard(t, v)
	return v
}

// wantPurged empties the trash and wants nothing left in the pool.
func (p *pool) wantPurged(t *testing.T) {
	t.Helper()
	p.purgeAll(t)
	p.wantContents(t, nil, nil, nil)
}

// dig makes a chain of directories below dir, calling in for each, and returns how
// many there are: no path could name the last.
func dig(t *testing.T, dir string, levels int, in func(fd, level int)) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	for level := range levels {
		if err := unix.Mkdirat(fd, "d", 0o700); err != nil {
			t.Fatalf("level %d: %v", level, err)
		}
		next, err := unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatalf("level %d: %v", level, err)
		}
		_ = unix.Close(fd)
		fd = next
		if in != nil {
			in(fd, level)
		}
	}
}

func purgeDeep(t *testing.T, p *pool) {
	levels := p.suite.many(20000, 5000) // paths of 10,000 bytes: the kernel takes 4,096
	p.trash(t, "a", func(dir string) { dig(t, dir, levels, nil) })
	if told := p.purgeAll(t); told != levels+1 {
		t.Errorf("told of %d inodes, want %d", told, levels+1)
	}
	p.wantContents(t, nil, nil, nil)
}

func purgeDeepAtOnce(t *testing.T, p *pool) {
	p.trash(t, "a", func(dir string) { dig(t, dir, p.suite.many(20000, 5000), nil) })
	p.wantPurged(t)
}

func purgeDeepAndWide(t *testing.T, p *pool) {
	v := p.trash(t, "a", func(dir string) {
		dig(t, dir, 200, func(fd, level int) {
			for i := range 5 {
				name := fmt.Sprintf("w%d", i)
				if err := unix.Mkdirat(fd, name, 0); err != nil {
					t.Fatal(err)
				}
				if err := unix.Mknodat(fd, name+"/f", unix.S_IFREG, 0); err != nil {
					t.Fatal(err)
				}
			}
			if level%10 == 0 { // an append-only directory still takes what is made below it
				setFlagsAt(t, fd, flagAppend)
			}
		})
	})
	// What an earlier purge raised has the names that this one would give.
	for i := range 3 {
		mkdir(t, p.in(".trash", fmt.Sprintf("%s.%d", backend.PassingName(v), i+1)))
	}
	p.wantPurged(t)
}

func purgeResumed(t *testing.T, p *pool) {
	dirs, files := 50, p.suite.many(1000, 500)
	v := p.trash(t, "a", func(dir string) {
		for i := range dirs {
			fd, err := unix.Open(mkdir(t, filepath.Join(dir, number("d", i))), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			for j := range files {
				if err := unix.Mknodat(fd, number("f", j), unix.S_IFREG|0o600, 0); err != nil {
					t.Fatal(err)
				}
			}
			_ = unix.Close(fd)
		}
	})
	all := dirs*(files+1) + 1
	ctx, cancel := context.WithCancel(t.Context())
	told, calls := 0, 0
	err := p.Purge(ctx, backend.PassingName(v), func(n int) {
		told += n
		calls++
		cancel()
	})
	wantReason(t, state.Canceled, err)
	if told == 0 || told > all/2 {
		t.Errorf("%d of %d inodes were removed after %d words of progress and a cancellation with the first", told, all, calls)
	}
	trash, err := p.Trash(t.Context())
	if err != nil || len(trash) == 0 {
		t.Errorf("a purge cut short leaves %v in the trash: %v", trash, err)
	}
	told += p.purgeAll(t)
	if told != all {
		t.Errorf("told of %d inodes, want %d", told, all)
	}
	p.wantContents(t, nil, nil, nil)
}

func purgeCanceled(t *testing.T, p *pool) {
	v := p.trash(t, "a", func(dir string) { write(t, dir+"/file", "data") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantReason(t, state.Canceled, p.Purge(ctx, backend.PassingName(v), func(int) {}))
	wantFile(t, p.trashed(v)+"/file", "data")
	p.wantPurged(t)
}

func purgeHardLinks(t *testing.T, p *pool) {
	p.trash(t, "a", func(dir string) {
		write(t, dir+"/file", "data")
		mkdir(t, dir+"/d")
		for i := range 100 {
			if err := os.Link(dir+"/file", dir+"/d/"+number("link", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Link(dir+"/file", p.in("beside")); err != nil {
			t.Fatal(err)
		}
		setFlags(t, dir+"/file", flagImmutable) // and with it all its links
	})
	p.wantPurged(t)
	wantFile(t, p.in("beside"), "data")
}

func purgeSymlinks(t *testing.T, p *pool) {
	outside := mkdir(t, p.path+".outside")
	write(t, mkdir(t, outside+"/dir")+"/file", "data")
	other := p.create(t, volume("other"))
	write(t, p.placed(other)+"/file", "data")
	before := listing(t, outside)
	p.trash(t, "a", func(dir string) {
		for name, to := range map[string]string{"dir": outside, "file": outside + "/dir/file", "relative": "../../../" + filepath.Base(outside),
			"root": "/", "parent": "..", "self": ".", "loop": "loop", "nowhere": "nosuch", "volume": "../other", "trash": "../../.trash"} {
			if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	})
	p.purgeAll(t)
	p.wantContents(t, []string{"other"}, nil, nil)
	wantUntouched(t, outside, before)
	wantFile(t, p.placed(other)+"/file", "data")
}

// specialFiles make files that are neither regular nor directories, and one that is.
var specialFiles = map[string]func(t *testing.T, path string){
	"pipe":             func(t *testing.T, path string) { mknod(t, path, unix.S_IFIFO, 0) },
	"socket":           func(t *testing.T, path string) { mknod(t, path, unix.S_IFSOCK, 0) },
	"character device": func(t *testing.T, path string) { mknod(t, path, unix.S_IFCHR, unix.Mkdev(1, 3)) },
	"block device":     func(t *testing.T, path string) { mknod(t, path, unix.S_IFBLK, unix.Mkdev(251, 99)) },
	"regular file":     func(t *testing.T, path string) { mknod(t, path, unix.S_IFREG, 0) },
}

func mknod(t *testing.T, path string, kind uint32, dev uint64) {
	t.Helper()
	if err := unix.Mknod(path, kind|0o600, int(dev)); err != nil {
		t.Fatalf("mknod %s: %v", path, err)
	}
}

func purgeSpecialFiles(t *testing.T, p *pool) {
	p.trash(t, "a", func(dir string) {
		for kind, plant := range specialFiles {
			plant(t, filepath.Join(dir, kind))
			plant(t, filepath.Join(mkdir(t, filepath.Join(dir, "in "+kind)), "x"))
		}
	})
	p.wantPurged(t)
}

func purgeNames(t *testing.T, p *pool) {
	all := []string{"-rf", "--", "$(reboot)", "...", "a\nb", "\x1b[2J", "%s%n", "\xff\xfe", "\xed\xa0\x80", "\u202etxt",
		strings.Repeat("x", 255), strings.Repeat("\xff", 255), ".again1", ".hostpath-csi.json"}
	for b := 1; b < 256; b++ {
		if name := string([]byte{byte(b)}); name != "/" && name != "." {
			all = append(all, name)
		}
	}
	p.trash(t, "a", func(dir string) {
		for i, name := range all {
			path := dir + "/" + name
			if i%2 == 0 {
				mknod(t, path, unix.S_IFREG, 0)
				continue
			}
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			mknod(t, path+"/"+name, unix.S_IFREG, 0)
		}
	})
	p.wantPurged(t)
}

// Inode flags that forbid changes (linux/fs.h).
const (
	flagImmutable = 0x10 // FS_IMMUTABLE_FL
	flagAppend    = 0x20 // FS_APPEND_FL
)

// setFlags makes a file immutable or append-only, as a pod with CAP_LINUX_IMMUTABLE can.
func setFlags(t *testing.T, path string, flag int) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	setFlagsAt(t, fd, flag)
}

func setFlagsAt(t *testing.T, fd, flag int) {
	t.Helper()
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|flag)
	}
	if err != nil {
		t.Fatalf("setting inode flags %#x: %v", flag, err)
	}
}

func purgeImmutable(t *testing.T, p *pool) {
	p.trash(t, "a", func(dir string) {
		for _, flag := range []int{flagImmutable, flagAppend, flagImmutable | flagAppend} {
			sub := mkdir(t, fmt.Sprintf("%s/flags %#x/sub", dir, flag))
			write(t, sub+"/free", "x")
			write(t, sub+"/file", "x")
			if err := os.Symlink("file", sub+"/link"); err != nil {
				t.Fatal(err)
			}
			mknod(t, sub+"/pipe", unix.S_IFIFO, 0)
			mkdir(t, sub+"/empty")
			for _, path := range []string{sub + "/file", sub + "/empty", sub, filepath.Dir(sub)} {
				setFlags(t, path, flag)
			}
		}
		// Immutable where the purge has to raise directories.
		dig(t, dir, 100, nil)
		deep := dir
		for level := range 100 {
			deep += "/d"
			if level >= 50 {
				defer setFlags(t, deep, flagImmutable)
			}
		}
	})
	p.wantPurged(t)
}

func purgeModes(t *testing.T, p *pool) {
	p.trash(t, "a", func(dir string) {
		for _, mode := range []uint32{0, 0o111, 0o222, 0o444, 0o4000, 0o7777} {
			sub := mkdir(t, fmt.Sprintf("%s/%o", dir, mode))
			write(t, sub+"/file", "x")
			mkdir(t, sub+"/sub/sub")
			for _, path := range []string{sub + "/file", sub + "/sub/sub", sub + "/sub", sub} {
				if err := errors.Join(unix.Chown(path, 1234, 5678), unix.Chmod(path, mode)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	p.wantPurged(t)
}

func purgeMount(t *testing.T, p *pool) {
	// One filesystem and one bind mount of a directory, below a volume that is
	// discarded with them.
	bound := mkdir(t, p.path+".bound")
	write(t, bound+"/file", "data")
	v := p.create(t, volume("a"))
	sub := mkdir(t, p.placed(v)+"/sub")
	write(t, sub+"/beside", "x")
	mount(t, "tmpfs", mkdir(t, sub+"/mnt"), "tmpfs", 0)
	write(t, sub+"/mnt/file", "data")
	mount(t, bound, mkdir(t, sub+"/bind"), "", unix.MS_BIND)
	mknod(t, sub+"/bound file", unix.S_IFREG, 0)
	mount(t, bound+"/file", sub+"/bound file", "", unix.MS_BIND)
	p.discard(t, v)
	sub = p.trashed(v) + "/sub"
	t.Cleanup(func() {
		for _, at := range []string{"/mnt", "/bind", "/bound file"} {
			_ = unix.Unmount(sub+at, unix.MNT_DETACH)
		}
	})

	if err := p.Purge(t.Context(), backend.PassingName(v), func(int) {}); err == nil {
		t.Error("an entry with mounts in it was purged")
	}
	wantFile(t, sub+"/mnt/file", "data")
	wantFile(t, sub+"/bind/file", "data")
	wantFile(t, bound+"/file", "data")
	wantGone(t, sub+"/beside") // one mount does not keep the space of all the rest

	for _, at := range []string{"/mnt", "/bind", "/bound file"} {
		if err := unix.Unmount(sub+at, 0); err != nil {
			t.Fatal(err)
		}
	}
	p.wantPurged(t)
	wantFile(t, bound+"/file", "data")
}

func mount(t *testing.T, source, target, fstype string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		t.Fatalf("mounting %s at %s: %v", source, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) }) // if it is still there
}

func purgeNothing(t *testing.T, p *pool) {
	if err := p.Purge(t.Context(), "nosuch", func(int) {}); err != nil {
		t.Errorf("purging what is not there: %v", err)
	}
}

func purgeFile(t *testing.T, p *pool) {
	for kind, plant := range specialFiles {
		plant(t, p.in(".trash", kind))
	}
	p.wantPurged(t)
}

func purgeParallel(t *testing.T, p *pool) {
	const entries, files = 8, 200
	for i := range entries {
		p.trash(t, number("v", i), func(dir string) {
			dig(t, dir, 100, nil) // deep enough to be raised
			for j := range files {
				mknod(t, dir+"/"+number("f", j), unix.S_IFREG, 0)
			}
		})
	}
	trash, err := p.Trash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inParallel(entries, trash, func(name string) {
		if err := p.Purge(soon(t), name, func(int) {}); err != nil {
			t.Error(err)
		}
	})
	p.wantContents(t, nil, nil, nil)
}
