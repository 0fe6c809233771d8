package quota

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func wantProject(t *testing.T, path string, want uint32, wantInherited bool) {
	t.Helper()
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if id, inherited, err := Project(f); id != want || inherited != wantInherited || err != nil {
		t.Errorf("%s carries project %d, inherited %v (%v); want %d, %v", path, id, inherited, err, want, wantInherited)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// mkfsArgs has the filesystems that can carry projects, whether or not the kernel can
// limit them. Ext4 mounts with that feature only where the kernel has quota.
var mkfsArgs = map[string][]string{"xfs": nil}

func projectFilesystems(t *testing.T, run func(t *testing.T, at string)) {
	for kind, args := range mkfsArgs {
		t.Run(kind, func(t *testing.T) {
			run(t, filesystem.New(t, kind, 512<<20, filesystem.MkfsArgs(args...)))
		})
	}
}

func TestSetTreeProject(t *testing.T) {
	projectFilesystems(t, func(t *testing.T, at string) {
		tree, outside := filepath.Join(at, "tree"), filepath.Join(at, "outside")
		deep := filepath.Join(tree, "a", "b", "c")
		must(t, os.MkdirAll(deep, 0o755), os.Mkdir(outside, 0o755), os.Mkdir(filepath.Join(tree, "mount"), 0o755),
			os.WriteFile(filepath.Join(deep, "file"), []byte("x"), 0), os.WriteFile(filepath.Join(outside, "file"), nil, 0o600),
			os.Symlink(filepath.Join(outside, "file"), filepath.Join(tree, "link")), os.Symlink(outside, filepath.Join(deep, "dirlink")),
			unix.Mkfifo(filepath.Join(tree, "pipe"), 0o600), unix.Mknod(filepath.Join(tree, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
			unix.Mknod(filepath.Join(tree, "socket"), unix.S_IFSOCK|0o600, 0),
			os.WriteFile(filepath.Join(tree, "\xff\n"), nil, 0o600))
		filesystem.Mount(t, "tmpfs", filepath.Join(tree, "mount"), "tmpfs", 0)
		got, err := SetTreeProject(t.Context(), open(t, tree), 77)
		if want := (Tree{Files: 2, Directories: 4, Left: 5}); got != want || err != nil {
			t.Errorf("did %+v, %v; want %+v", got, err, want)
		}
		for _, path := range []string{tree, filepath.Join(tree, "a"), deep} {
			wantProject(t, path, 77, true)
		}
		wantProject(t, filepath.Join(deep, "file"), 77, false)
		wantProject(t, filepath.Join(tree, "\xff\n"), 77, false)
		wantProject(t, outside, 0, false)
		wantProject(t, filepath.Join(outside, "file"), 0, false)
		wantProject(t, at, 0, false)

		// What is made now inherits, and nothing comes in from outside by a rename.
		must(t, os.Mkdir(filepath.Join(deep, "new"), 0o755), os.WriteFile(filepath.Join(deep, "new", "file"), nil, 0o600))
		wantProject(t, filepath.Join(deep, "new"), 77, true)
		wantProject(t, filepath.Join(deep, "new", "file"), 77, false)
		if err := os.Rename(filepath.Join(outside, "file"), filepath.Join(deep, "in")); !errors.Is(err, unix.EXDEV) {
			t.Errorf("moving a file in: %v, want EXDEV", err)
		}
		if err := os.Link(filepath.Join(outside, "file"), filepath.Join(deep, "in")); !errors.Is(err, unix.EXDEV) {
			t.Errorf("linking a file in: %v, want EXDEV", err)
		}

		// And back.
		if _, err := SetTreeProject(t.Context(), open(t, tree), 0); err != nil {
			t.Error(err)
		}
		wantProject(t, deep, 0, false)
		wantProject(t, filepath.Join(deep, "new", "file"), 0, false)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := SetTreeProject(ctx, open(t, tree), 1); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	})
}

// TestSetTreeProjectWhileRenamed swaps a directory and a file for links that lead out of
// the tree, all the time.
func TestSetTreeProjectWhileRenamed(t *testing.T) {
	projectFilesystems(t, func(t *testing.T, at string) {
		tree, outside := filepath.Join(at, "tree"), filepath.Join(at, "outside")
		must(t, os.MkdirAll(filepath.Join(tree, "dir"), 0o755), os.MkdirAll(filepath.Join(outside, "dir"), 0o755),
			os.WriteFile(filepath.Join(tree, "dir", "file"), nil, 0o600), os.WriteFile(filepath.Join(tree, "file"), nil, 0o600),
			os.WriteFile(filepath.Join(outside, "file"), nil, 0o600), os.WriteFile(filepath.Join(outside, "dir", "file"), nil, 0o600),
			os.Symlink(filepath.Join(outside, "dir"), filepath.Join(tree, "otherdir")), os.Symlink(filepath.Join(outside, "file"), filepath.Join(tree, "otherfile")))
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, name := range []string{"dir", "file"} {
					_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(tree, name), unix.AT_FDCWD, filepath.Join(tree, "other"+name), unix.RENAME_EXCHANGE)
				}
			}
		}()
		dir := open(t, tree)
		for i := range 300 {
			if _, err := dir.Seek(0, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := SetTreeProject(t.Context(), dir, uint32(i)+1); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		<-stopped
		err := filepath.WalkDir(outside, func(path string, _ fs.DirEntry, err error) error {
			must(t, err)
			wantProject(t, path, 0, false)
			return nil
		})
		must(t, err)
	})
}

func TestSetTreeProjectTooDeep(t *testing.T) {
	at := filesystem.New(t, "xfs", 512<<20)
	fd, err := unix.Open(at, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range maxTreeDepth + 2 {
		must(t, unix.Mkdirat(fd, "d", 0o755))
		next, err := unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err, unix.Close(fd))
		fd = next
	}
	must(t, unix.Close(fd))
	if _, err := SetTreeProject(t.Context(), open(t, at), 1); state.ReasonOf(err) != state.Unsupported {
		t.Errorf("a tree without end: %v, want Unsupported", err)
	}
}

// TestOpenWithoutQuota: the error says what to do. What the kernel could do is another
// matter: a kernel without quota gives the same answer.
func TestOpenWithoutQuota(t *testing.T) {
	for kind, want := range map[string]string{
		"xfs":   "-o prjquota",
		"ext4":  "tune2fs -O project -Q prjquota",
		"tmpfs": "have no project quota",
	} {
		t.Run(kind, func(t *testing.T) {
			_, err := Open(open(t, filesystem.New(t, kind, 512<<20)))
			if state.ReasonOf(err) != state.Unsupported || !strings.Contains(err.Error(), want) {
				t.Errorf("%v (%s); want Unsupported and %q", err, state.ReasonOf(err), want)
			}
		})
	}
}
