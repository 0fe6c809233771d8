//go:build quotavm

// These tests need a kernel with XFS and ext4 project quota: tests/vm/test.sh.

package quota

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func init() { mkfsArgs["ext4"] = []string{"-O", "quota,project"} }

// limitingFilesystems enforce project quota.
func limitingFilesystems(t *testing.T, run func(t *testing.T, f *Filesystem, at string)) {
	for kind, args := range mkfsArgs {
		t.Run(kind, func(t *testing.T) {
			at := filesystem.New(t, kind, 512<<20, filesystem.MkfsArgs(args...), filesystem.MountOptions("prjquota"))
			f, err := Open(open(t, at))
			must(t, err)
			run(t, f, at)
		})
	}
}

func (f *Filesystem) wantUsage(t *testing.T, want Usage) {
	t.Helper()
	if got, err := f.Usage(want.ID); got != want || err != nil {
		t.Errorf("project %d: %+v, %v; want %+v", want.ID, got, err, want)
	}
}

// mkdirIn makes a directory of the project, and returns it open.
func mkdirIn(t *testing.T, path string, id uint32) *os.File {
	t.Helper()
	must(t, os.Mkdir(path, 0o755))
	d := open(t, path)
	must(t, SetProject(d, id))
	return d
}

// untilUnused waits for what XFS does in the background: freeing inodes.
func (f *Filesystem) untilUnused(t *testing.T, id uint32) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; runtime.Gosched() {
		u, err := f.Usage(id)
		must(t, err)
		if !u.InUse() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("project %d does not come to an end: %+v", id, u)
		}
	}
}

func TestLimits(t *testing.T) {
	limitingFilesystems(t, func(t *testing.T, f *Filesystem, at string) {
		const id = 1<<32 - 2
		f.wantUsage(t, Usage{ID: id})
		must(t, f.SetLimit(id, 1<<40, 1000))
		f.wantUsage(t, Usage{ID: id, MaxBytes: 1 << 40, MaxInodes: 1000})
		must(t, f.SetLimit(id, 8<<20, 0))
		f.wantUsage(t, Usage{ID: id, MaxBytes: 8 << 20})

		dir := filepath.Join(at, "dir")
		mkdirIn(t, dir, id)
		must(t, os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o600))
		unix.Sync()
		u, err := f.Usage(id)
		if err != nil || u.Inodes != 2 || u.Bytes < 1<<20 || u.Bytes > 1<<20+64<<10 || u.MaxBytes != 8<<20 {
			t.Errorf("with a file of 1 MiB: %+v, %v", u, err)
		}
		must(t, f.Clear(id))
		if u, err := f.Usage(id); err != nil || u.Limited() || u.Inodes != 2 {
			t.Errorf("cleared: %+v, %v", u, err)
		}
		for _, wrong := range []error{f.SetLimit(0, 1, 1), f.SetLimit(1<<32-1, 1, 1), f.SetLimit(1, -1, 0), f.SetLimit(1, 0, -1)} {
			if state.ReasonOf(wrong) != state.Defect {
				t.Errorf("a limit that cannot be: %v", wrong)
			}
		}
	})
}

func TestNext(t *testing.T) {
	limitingFilesystems(t, func(t *testing.T, f *Filesystem, at string) {
		for _, id := range []uint32{7, 100, 1 << 20, 1<<20 + 3000} {
			must(t, f.SetLimit(id, 1<<20, 0))
		}
		must(t, f.Clear(100))
		mkdirIn(t, filepath.Join(at, "dir"), 200)
		var seen []uint32
		for from := uint32(1); ; {
			u, ok, err := f.Next(from)
			must(t, err)
			if !ok {
				break
			}
			if u.ID < from {
				t.Fatalf("the next from %d on is %d", from, u.ID)
			}
			if u.InUse() {
				seen = append(seen, u.ID)
			}
			from = u.ID + 1
		}
		want := []uint32{7, 200, 1 << 20, 1<<20 + 3000}
		if len(seen) != len(want) {
			t.Fatalf("saw %d, want %d", seen, want)
		}
		for i := range want {
			if seen[i] != want[i] {
				t.Fatalf("saw %d, want %d", seen, want)
			}
		}
	})
}

// TestIDsOnFilesystem: the allocator asks the filesystem, not only its own memory.
func TestIDsOnFilesystem(t *testing.T) {
	limitingFilesystems(t, func(t *testing.T, f *Filesystem, at string) {
		r := Range{First: 1000, Count: 5}
		theirs := filepath.Join(at, "theirs")
		held := mkdirIn(t, theirs, 1000)
		must(t, f.SetLimit(1003, 1<<20, 0))
		a, err := NewIDs(f, r)
		must(t, err)
		for _, want := range []uint32{1001, 1002, 1004} {
			if got, err := a.Take(); got != want || err != nil {
				t.Fatalf("took %d, %v; want %d", got, err, want)
			}
		}
		if _, err := a.Take(); state.ReasonOf(err) != state.NoSpace {
			t.Errorf("all IDs are in use: %v, want NoSpace", err)
		}
		must(t, os.Remove(theirs))
		if _, err := a.Take(); state.ReasonOf(err) != state.NoSpace {
			t.Errorf("a removed directory is held open: %v, want NoSpace", err)
		}
		must(t, held.Close())
		f.untilUnused(t, 1000)
		if got, err := a.Take(); got != 1000 || err != nil {
			t.Errorf("took %d, %v; want 1000, which nothing carries any more", got, err)
		}
		// After a restart, with two records: what has no record and no files is swept.
		a, err = NewIDs(f, r)
		must(t, err, a.Hold(1001), a.Hold(1002), f.SetLimit(1001, 1<<20, 0), f.SetLimit(1004, 1<<20, 0))
		if n, err := a.Sweep(); n != 2 || err != nil {
			t.Errorf("swept %d, %v; want 1003 and 1004", n, err)
		}
		f.wantUsage(t, Usage{ID: 1001, MaxBytes: 1 << 20})
		f.wantUsage(t, Usage{ID: 1004})
	})
}

// TestEnforced takes the remedies at their word.
func TestEnforced(t *testing.T) {
	remount := func(t *testing.T, at, kind, option string) {
		t.Helper()
		var source string
		mounts, err := os.ReadFile("/proc/self/mounts")
		must(t, err)
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); f[1] == at {
				source = f[0]
			}
		}
		device := open(t, source) // it frees itself when nobody has it open
		must(t, unix.Unmount(at, 0))
		if kind == "tune2fs" {
			if out, err := exec.Command("tune2fs", "-O", "project", "-Q", "prjquota", source).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			kind = "ext4"
		}
		must(t, unix.Mount(source, at, kind, 0, option), device.Close())
	}
	refused := func(t *testing.T, at, want string) {
		t.Helper()
		root, err := os.Open(at)
		must(t, err)
		defer root.Close()
		if _, err := Open(root); state.ReasonOf(err) != state.Unsupported || !strings.Contains(err.Error(), want) {
			t.Errorf("%v (%s); want Unsupported and %q", err, state.ReasonOf(err), want)
		}
	}
	accepted := func(t *testing.T, at string) {
		t.Helper()
		root, err := os.Open(at)
		must(t, err)
		defer root.Close()
		if _, err := Open(root); err != nil {
			t.Error(err)
		}
	}
	t.Run("xfs", func(t *testing.T) {
		at := filesystem.New(t, "xfs", 512<<20)
		refused(t, at, "mount it with `-o prjquota`")
		remount(t, at, "xfs", "pqnoenforce")
		refused(t, at, "mount it with `-o prjquota`")
		remount(t, at, "xfs", "usrquota")
		refused(t, at, "mount it with `-o prjquota`")
		remount(t, at, "xfs", "prjquota")
		accepted(t, at)
	})
	t.Run("ext4 without the features", func(t *testing.T) {
		at := filesystem.New(t, "ext4", 64<<20)
		refused(t, at, "mkfs.ext4 -O quota,project")
		remount(t, at, "tune2fs", "prjquota")
		accepted(t, at)
	})
	t.Run("ext4 with the features", func(t *testing.T) {
		at := filesystem.New(t, "ext4", 64<<20, filesystem.MkfsArgs("-O", "quota,project"))
		refused(t, at, "it counts but does not limit")
		remount(t, at, "ext4", "prjquota")
		accepted(t, at)
	})
	t.Run("ext4 with small inodes", func(t *testing.T) {
		at := filesystem.New(t, "ext4", 64<<20, filesystem.MkfsArgs("-I", "128"))
		refused(t, at, "mkfs.ext4 -O quota,project")
	})
}

func TestWriteOverLimit(t *testing.T) {
	limitingFilesystems(t, func(t *testing.T, f *Filesystem, at string) {
		dir := filepath.Join(at, "dir")
		mkdirIn(t, dir, 5)
		must(t, f.SetLimit(5, 4<<20, 3))
		for _, name := range []string{"a", "b"} {
			must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		}
		err := os.WriteFile(filepath.Join(dir, "c"), nil, 0o600)
		if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
			t.Errorf("the fourth inode of three: %v", err)
		}
		err = os.WriteFile(filepath.Join(dir, "a"), make([]byte, 5<<20), 0o600)
		if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
			t.Errorf("5 MiB into 4: %v", err)
		}
	})
}
