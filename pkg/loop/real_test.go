package loop

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// image makes a file whose name no other test, in no other process, has.
func image(t *testing.T, dir string, size int64) *os.File {
	t.Helper()
	f, err := os.CreateTemp(dir, "loop-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return f
}

func attach(t *testing.T, f *os.File, o Options) *Attachment {
	t.Helper()
	a, err := Loop{}.Attach(t.Context(), f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close() // if the test has not
		for _, a := range find(t, f) {
			if err := a.Detach(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return a
}

// find returns the devices of a file; those that are left open end with the test.
func find(t *testing.T, f *os.File) []*Attachment {
	t.Helper()
	all, err := Loop{}.Find(func(path string) bool { return filepath.Base(path) == filepath.Base(f.Name()) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(all) })
	return all
}

func identity(t *testing.T, f *os.File) File {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return File{st.Dev, st.Ino}
}

func wantReason(t *testing.T, want state.Reason, err error) {
	t.Helper()
	if got := state.ReasonOf(err); got != want {
		t.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}

// TestAttachment walks through the life of an attachment on each filesystem that a pool
// may be on.
func TestAttachment(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs", "btrfs", "tmpfs"} {
		t.Run(kind, func(t *testing.T) {
			f := image(t, filesystem.New(t, kind, 512<<20), 1<<20)
			a := attach(t, f, Options{})
			if a.File != identity(t, f) || a.ReadOnly {
				t.Errorf("attached is %+v", a)
			}
			if kind != "tmpfs" && !a.DirectIO {
				t.Errorf("%s has no direct I/O", Path(a.Number))
			}
			device, err := os.OpenFile(Path(a.Number), os.O_RDWR|unix.O_DIRECT, 0)
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("block"), 4096)[:4096*4]
			aligned := alignedCopy(want)
			if _, err := device.WriteAt(aligned, 8192); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(device.Sync(), device.Close()); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(want))
			if _, err := f.ReadAt(got, 8192); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the file does not hold what was written to the device (%v)", err)
			}
			// It grows while it is open.
			if err := f.Truncate(3 << 20); err != nil {
				t.Fatal(err)
			}
			if err := a.Grow(); err != nil {
				t.Fatal(err)
			}
			if size, err := a.Bytes(); err != nil || size != 3<<20 {
				t.Errorf("after growing it has %d bytes, %v", size, err)
			}
			a.Close()
			// Another process finds it, and after it was moved and removed, too.
			if got := find(t, f); len(got) != 1 || got[0].Number != a.Number || got[0].File != a.File {
				t.Fatalf("found is %+v", got)
			}
			if err := os.Remove(f.Name()); err != nil {
				t.Fatal(err)
			}
			found := find(t, f)
			if len(found) != 1 || found[0].File != a.File {
				t.Fatalf("once its file is removed, found is %+v", found)
			}
			if base, deleted := found[0].Name(); base != filepath.Base(f.Name()) || !deleted {
				t.Errorf("its name is %q, deleted %v", base, deleted)
			}
		})
	}
}

// alignedCopy returns a copy that begins where direct I/O allows.
func alignedCopy(b []byte) []byte {
	page, err := unix.Mmap(-1, 0, len(b), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	copy(page, b)
	return page
}

func TestReadOnlyTakesNoWrites(t *testing.T) {
	f := image(t, t.TempDir(), 1<<20)
	a := attach(t, f, Options{ReadOnly: true})
	if !a.ReadOnly {
		t.Error("it does not say that it is read-only")
	}
	device, err := os.OpenFile(Path(a.Number), os.O_RDWR, 0)
	if err == nil { // recent kernels refuse at open, others at write
		_, err = device.WriteAt(make([]byte, 512), 0)
		err = errors.Join(err, device.Sync())
		device.Close()
	}
	if err == nil {
		t.Error("a read-only device can be written to")
	}
}

// TestOPathWillDo: that is what volumes are opened with.
func TestOPathWillDo(t *testing.T) {
	f := image(t, t.TempDir(), 4096)
	p, err := os.OpenFile(f.Name(), unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if a := attach(t, p, Options{}); a.File != identity(t, f) {
		t.Errorf("attached is %+v", a)
	}
}

func TestAttachRefuses(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, f := range map[string]*os.File{
		"a part of a sector": image(t, dir, 4096+1), "an empty file": image(t, dir, 0),
	} {
		_, err := Loop{}.Attach(t.Context(), f, Options{})
		wantReason(t, state.Invalid, err)
		if got := find(t, f); len(got) > 0 {
			t.Errorf("%s: attached after all: %+v", name, got)
		}
	}
	_, err = Loop{}.Attach(t.Context(), d, Options{ReadOnly: true})
	wantReason(t, state.Invalid, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Loop{}.Attach(ctx, image(t, dir, 4096), Options{})
	wantReason(t, state.Canceled, err)
}

// TestADeviceInUseIsFreedLater shows what is left of a Detach while others use the
// device, and that it can be taken back.
func TestADeviceInUseIsFreedLater(t *testing.T) {
	f := image(t, t.TempDir(), 4096)
	a := attach(t, f, Options{})
	user, err := os.Open(Path(a.Number))
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	wantReason(t, state.InUse, a.Detach(ctx))
	found := find(t, f)
	if len(found) != 1 {
		t.Fatalf("found is %+v", found)
	}
	if err := found[0].Keep(); err != nil {
		t.Fatal(err)
	}
	found[0].Close()
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	found = find(t, f)
	if len(found) != 1 {
		t.Fatal("a device that was to be kept is gone with its last opener")
	}
	// And without Keep it goes.
	if user, err = os.Open(Path(a.Number)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	wantReason(t, state.InUse, found[0].Detach(ctx))
	user.Close()
	if left := find(t, f); len(left) > 0 {
		t.Errorf("left is %+v", left)
	}
}

// TestMany attaches and detaches files in parallel: each has a device of its own, and
// none is left.
func TestMany(t *testing.T) {
	const files, rounds = 12, 4
	dir := t.TempDir()
	var all sync.WaitGroup
	for range files {
		f := image(t, dir, 4096)
		id := identity(t, f)
		all.Go(func() {
			for range rounds {
				a, err := Loop{}.Attach(context.Background(), f, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if a.File != id {
					t.Errorf("%s has another file", Path(a.Number))
				}
				if err := a.Detach(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	bound, err := linux{}.bound()
	if err != nil {
		t.Fatal(err)
	}
	for number, path := range bound {
		if strings.HasPrefix(path, dir) {
			t.Errorf("%s still has %s", Path(number), path)
		}
	}
}
