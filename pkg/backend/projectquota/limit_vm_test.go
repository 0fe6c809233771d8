//go:build quotavm

package projectquota

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// appendTo writes to the end of a file until there are bytes of it or the filesystem
// refuses, and returns how many there are.
func appendTo(path string, until int64) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if size, err = f.Seek(0, 2); err != nil {
		return 0, err
	}
	chunk := make([]byte, 256<<10)
	for size < until && err == nil {
		var n int
		n, err = f.Write(chunk[:min(int64(len(chunk)), until-size)])
		size += int64(n)
	}
	return size, errors.Join(err, f.Sync())
}

func errorAtLimit(kind string) error {
	if kind == "xfs" {
		return unix.ENOSPC
	}
	return unix.EDQUOT
}

func take(t *testing.T, b *Backend) uint32 {
	t.Helper()
	id, err := b.QuotaIDs().Take()
	must(t, err)
	return id
}

// TestFill: a volume takes its size in one file, little more, and more when it is made
// larger.
func TestFill(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{})
		v, dir := b.create(t, volume("a", take(t, b), 32*mib))
		file := filepath.Join(dir, "file")
		var st unix.Statfs_t
		must(t, unix.Statfs(dir, &st))
		if total := int64(st.Blocks) * st.Bsize; total != 32*mib+Allowance(32*mib) {
			t.Errorf("statfs of the volume tells of %d bytes, want %d", total, 32*mib+Allowance(32*mib))
		}
		size, err := appendTo(file, 32*mib)
		if err != nil {
			t.Fatalf("a volume of 32 MiB took %d bytes: %v", size, err)
		}
		size, err = appendTo(file, 1<<30)
		if !errors.Is(err, errorAtLimit(kind)) || size > 32*mib+Allowance(32*mib) {
			t.Errorf("beyond its size it took %d bytes: %v; want %v", size, err, errorAtLimit(kind))
		}
		if _, err := appendTo(filepath.Join(dir, "more"), 1); !errors.Is(err, errorAtLimit(kind)) {
			t.Errorf("one byte in another file of a full volume: %v, want %v", err, errorAtLimit(kind))
		}
		u, err := b.Usage(t.Context(), v)
		if err != nil || u.TotalBytes != 32*mib || u.AvailableBytes != 0 || u.UsedBytes < size || u.UsedInodes < 2 {
			t.Errorf("usage of the full volume: %+v, %v", u, err)
		}

		v.Spec.CapacityBytes = 64 * mib
		must(t, b.Resize(t.Context(), v))
		if size, err = appendTo(file, 64*mib); err != nil {
			t.Errorf("made larger, it took %d bytes: %v", size, err)
		}
		if r, err := b.ReadRecord(v.Status.Path); err != nil || r.Spec.CapacityBytes != 64*mib {
			t.Errorf("record after resizing: %+v, %v", r.Spec, err)
		}
	})
}

// TestAllowance fills volumes in the ways that cost the most metadata: what the user
// was promised fits all the same.
func TestAllowance(t *testing.T) {
	const size = 16 * mib
	shapes := map[string]func(dir string) error{
		// Every other block, from the end, so that no two extents join: then the rest.
		"a file in pieces": func(dir string) error {
			f, err := os.Create(filepath.Join(dir, "file"))
			if err != nil {
				return err
			}
			defer f.Close()
			for at := int64(2*size - 8192); at >= 0; at -= 8192 {
				if _, err := f.WriteAt(make([]byte, 4096), at); err != nil {
					return err
				}
			}
			return f.Sync()
		},
		"files of 4 KiB in one directory":       func(dir string) error { return manyFiles(dir, size/4096, 4096, 1<<30) },
		"files of 64 KiB, 10 in each directory": func(dir string) error { return manyFiles(dir, size/(64<<10), 64<<10, 10) },
	}
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{})
		for name, fill := range shapes {
			t.Run(name, func(t *testing.T) {
				id := take(t, b)
				v, dir := b.create(t, volume("v"+strconv.Itoa(int(id)), id, size))
				err := fill(dir)
				unix.Sync()
				u, uerr := b.Usage(t.Context(), v)
				must(t, uerr)
				t.Logf("%d bytes of metadata, of %d allowed: %.2f%% of the data", u.UsedBytes-size, Allowance(size), 100*float64(u.UsedBytes-size)/size)
				if err != nil {
					t.Errorf("%v; usage %+v", err, u)
				}
				b.discard(t, v)
				b.purgeAll(t)
			})
		}
	})
}

func manyFiles(dir string, files, bytes, inEach int) error {
	data := make([]byte, bytes)
	sub := dir
	for i := range files {
		if i%inEach == 0 && inEach < files {
			sub = filepath.Join(dir, "directory-"+strconv.Itoa(i))
			if err := os.Mkdir(sub, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(sub, "file-number-"+strconv.Itoa(10000000+i)), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func TestInodeLimit(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{BytesPerInode: 1 << 16})
		v, dir := b.create(t, volume("a", take(t, b), mib))
		made, err := 0, error(nil)
		for ; ; made++ {
			if err = unix.Mknod(filepath.Join(dir, strconv.Itoa(made)), unix.S_IFREG, 0); err != nil {
				break
			}
		}
		if made != 16 || !errors.Is(err, errorAtLimit(kind)) {
			t.Errorf("made %d files: %v; want 16 and %v", made, err, errorAtLimit(kind))
		}
		u, err := b.Usage(t.Context(), v)
		if err != nil || u.TotalInodes != 17 || u.UsedInodes != 17 || u.AvailableInodes != 0 {
			t.Errorf("usage %+v, %v; want 17 of 17 inodes", u, err)
		}
	})
}

func TestNothingComesIn(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{})
		_, one := b.create(t, volume("a", take(t, b), mib))
		_, two := b.create(t, volume("b", take(t, b), mib))
		must(t, os.WriteFile(filepath.Join(at, "file"), nil, 0o600), os.WriteFile(filepath.Join(one, "file"), nil, 0o600))
		for _, from := range []string{filepath.Join(at, "file"), filepath.Join(one, "file")} {
			if err := os.Rename(from, filepath.Join(two, "in")); !errors.Is(err, unix.EXDEV) {
				t.Errorf("moving %s in: %v, want EXDEV", from, err)
			}
			if err := os.Link(from, filepath.Join(two, "in")); !errors.Is(err, unix.EXDEV) {
				t.Errorf("linking %s in: %v, want EXDEV", from, err)
			}
		}
	})
}

// TestPoolInProject: its directories must not hand a project on.
func TestPoolInProject(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		parent := filepath.Join(at, "parent")
		must(t, os.Mkdir(parent, 0o755))
		setProject(t, parent, 42)
		b := openNew(t, filepath.Join(parent, "pool"), Options{})
		if err := b.Unenforced(); b.Features().EnforcesLimits || state.ReasonOf(err) != state.Unsupported {
			t.Errorf("a pool in project 42 enforces limits: %v", err)
		}
		v, _ := b.create(t, volume("a", 0, mib))
		b.discard(t, v)
		b.purgeAll(t)
		must(t, b.Close())
		// The remedy.
		for _, dir := range []string{"", pool.VolumesDir, pool.ClaimsDir, pool.ImagesDir, pool.SnapshotsDir, pool.BuildDir, pool.TrashDir} {
			if out, err := exec.Command("chattr", "-p", "0", "-P", filepath.Join(b.Path(), dir)).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		b = openAgain(t, b.Path(), Options{})
		if !b.Features().EnforcesLimits {
			t.Error(b.Unenforced())
		}
		b.create(t, volume("b", take(t, b), mib))
	})
}

// TestRoomToMakeAFile finds how far from its limit a project must be for one more file:
// the fixed part of the allowance covers that.
func TestRoomToMakeAFile(t *testing.T) {
	limitingFilesystems(t, 512<<20, func(t *testing.T, kind, at string) {
		b := openNew(t, filepath.Join(at, "pool"), Options{})
		id := take(t, b)
		_, dir := b.create(t, volume("a", id, 32*mib))
		must(t, manyFiles(dir, 1000, 1, 1<<30)) // a directory of several levels
		unix.Sync()
		const block, most = 4096, 512 << 10
		for room := int64(0); ; room += block {
			must(t, b.fs.SetLimit(id, b.quotaOf(t, id).Bytes+room, 0))
			err := unix.Mknod(filepath.Join(dir, "one-more"), unix.S_IFREG, 0)
			if err == nil {
				t.Logf("one more file takes %d bytes of room", room)
				return
			}
			if room > most {
				t.Fatalf("one more file takes more than %d bytes of room: %v", room, err)
			}
		}
	})
}

// until waits for what XFS does in the background: freeing inodes.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

func passing(v state.Volume) string { return backend.PassingName(v) }
