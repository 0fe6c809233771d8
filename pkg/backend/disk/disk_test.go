package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

const mib = 1 << 20

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wantError checks an error's reason and that it speaks of all the words.
func wantError(t *testing.T, err error, reason state.Reason, words ...string) {
	t.Helper()
	if err == nil || state.ReasonOf(err) != reason {
		t.Errorf("error is %v (%s), want %s", err, state.ReasonOf(err), reason)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not speak of %q: %v", w, err)
		}
	}
}

// newImage declares an image in a directory of its own, and where it is to be mounted.
// At the test's end nothing is mounted or attached any more.
func newImage(t *testing.T, kind string, size int64) (d Disk, at string) {
	t.Helper()
	dir := t.TempDir()
	at = filepath.Join(dir, "pool")
	t.Cleanup(func() {
		unmountAll(at)
		wantDevices(t, dir, 0)
	})
	return Disk{Image: filepath.Join(dir, "pool.img"), SizeBytes: size, Filesystem: kind, Provisioning: state.Thin}, at
}

func unmountAll(at string) {
	for unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
	}
}

// wantDevices checks how many loop devices have a file beneath a directory. Freeing one
// may take an instant.
func wantDevices(t *testing.T, dir string, want int) {
	t.Helper()
	process.Eventually(t, "the loop devices are as wanted", func() error {
		if all := process.LoopDevicesOf(t, dir); len(all) != want {
			return fmt.Errorf("%d are wanted, there are %q", want, all)
		}
		return nil
	})
}

func sizeAt(t *testing.T, at string) int64 {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(at, &st))
	return int64(st.Blocks) * st.Bsize
}

// sizeOf tells how large a file is, and how much room it takes.
func sizeOf(t *testing.T, path string) (size, taken int64) {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return st.Size, st.Blocks * 512
}

func isMounted(t *testing.T, at string) bool {
	t.Helper()
	point, err := openPoint(at)
	must(t, err)
	defer point.Close()
	m, err := mountedAt(point, at)
	must(t, err)
	return m != nil
}

// each runs a test with each filesystem.
func each(t *testing.T, run func(t *testing.T, kind string)) {
	for _, kind := range Filesystems() {
		t.Run(kind, func(t *testing.T) { run(t, kind) })
	}
}

func TestAnImageIsMadeOnceAndMountedAgain(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at := newImage(t, kind, 512*mib)
		must(t, d.Mount(t.Context(), at, true))
		wantDevices(t, filepath.Dir(d.Image), 1)
		file := filepath.Join(at, "file")
		must(t, os.WriteFile(file, []byte("kept"), 0o600))
		if size, taken := sizeOf(t, d.Image); size != 512*mib || taken > 128*mib {
			t.Errorf("a thin image has %d bytes and takes %d", size, taken)
		}
		if got := sizeAt(t, at); got < 400*mib || got > 512*mib {
			t.Errorf("the filesystem has %d bytes", got)
		}

		must(t, d.Mount(t.Context(), at, false)) // what is mounted is taken as it is
		wantDevices(t, filepath.Dir(d.Image), 1)

		must(t, unix.Unmount(at, unix.UMOUNT_NOFOLLOW))
		wantDevices(t, filepath.Dir(d.Image), 0)
		must(t, d.Mount(t.Context(), at, false))
		if b, err := os.ReadFile(file); string(b) != "kept" {
			t.Errorf("after mounting again the file has %q, %v", b, err)
		}
	})
}

func TestAThickImageHasItsRoom(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at := newImage(t, kind, 320*mib)
		d.Provisioning = state.Thick
		must(t, d.Mount(t.Context(), at, true))
		if size, taken := sizeOf(t, d.Image); size != 320*mib || taken < size {
			t.Errorf("a thick image has %d bytes and takes %d", size, taken)
		}
		d.SizeBytes = 400 * mib
		must(t, d.Mount(t.Context(), at, false))
		if size, taken := sizeOf(t, d.Image); size != 400*mib || taken < size {
			t.Errorf("grown, it has %d bytes and takes %d", size, taken)
		}
	})
}

func TestAThinImageGivesRoomBack(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at := newImage(t, kind, 320*mib)
		must(t, d.Mount(t.Context(), at, true))
		file := filepath.Join(at, "file")
		data := make([]byte, 100*mib)
		for i := range data {
			data[i] = byte(i * 7)
		}
		must(t, os.WriteFile(file, data, 0o600))
		unix.Sync()
		_, full := sizeOf(t, d.Image)
		must(t, os.Remove(file))
		process.Eventually(t, "the image gives room back", func() error { // once the filesystem has freed it
			unix.Sync()
			must(t, trim(t, at))
			if _, taken := sizeOf(t, d.Image); full-taken < 90*mib {
				return fmt.Errorf("it took %d bytes, and takes %d after 100 MiB were removed", full, taken)
			}
			return nil
		})
	})
}

// trim does what fstrim does.
func trim(t *testing.T, at string) error {
	t.Helper()
	f, err := os.Open(at)
	must(t, err)
	defer f.Close()
	const fiTrim = 0xc0185879 // _IOWR('X', 121, struct fstrim_range)
	all := struct{ start, bytes, least uint64 }{bytes: 1<<64 - 1}
	return ioctl(f, fiTrim, unsafe.Pointer(&all))
}

func TestAnImageGrowsWhileItIsUsed(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at := newImage(t, kind, 320*mib)
		must(t, d.Mount(t.Context(), at, true))
		f, err := os.Create(filepath.Join(at, "file"))
		must(t, err)
		defer f.Close()
		before := sizeAt(t, at)
		d.SizeBytes = 600*mib + 5 // in whole MiB
		must(t, d.Mount(t.Context(), at, false))
		if got := sizeAt(t, at) - before; got != 281*mib {
			t.Errorf("grown by 281 MiB, the filesystem has %d bytes more", got)
		}
		must(t, f.Sync())

		smaller := d
		smaller.SizeBytes = 512 * mib
		wantError(t, smaller.Mount(t.Context(), at, false), state.Invalid, "cannot be made smaller", "536870912", "630194176")
		if !isMounted(t, at) {
			t.Error("it is not mounted any more")
		}
	})
}

func TestAnImageThatIsMissingIsNotMadeAgain(t *testing.T) {
	d, at := newImage(t, "btrfs", 320*mib)
	wantError(t, d.Mount(t.Context(), at, false), state.NotReady, d.Image, "is not there", "bring it back")
	if err := process.SameNames(t, filepath.Dir(d.Image), "pool"); err != nil {
		t.Error(err)
	}
}

func TestAfterALazyUnmountTheSameFilesystemIsMounted(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at := newImage(t, kind, 320*mib)
		must(t, d.Mount(t.Context(), at, true))
		f, err := os.Create(filepath.Join(at, "file"))
		must(t, err)
		defer f.Close()
		must(t, unix.Unmount(at, unix.MNT_DETACH))
		if isMounted(t, at) {
			t.Fatal("it is mounted")
		}
		must(t, d.Mount(t.Context(), at, false))
		wantDevices(t, filepath.Dir(d.Image), 1)
		_, err = f.WriteString("written meanwhile")
		must(t, err)
		if b, err := os.ReadFile(f.Name()); string(b) != "written meanwhile" {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestWhatCannotBeDoneLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, d *Disk, at string)
		reason state.Reason
		words  []string
	}{
		"too small": {func(_ *testing.T, d *Disk, _ string) { d.SizeBytes = 100 * mib }, state.Invalid, []string{"104857600", "335544320"}},
		"larger than the disk": {func(t *testing.T, d *Disk, _ string) {
			d.Image, d.Provisioning = filepath.Join(filesystem.New(t, "tmpfs", 64*mib), "img"), state.Thick
		}, state.NoSpace, []string{"335544320", "67108864", "make room"}},
		"a disk without room, thin": {func(t *testing.T, d *Disk, _ string) {
			d.Image = filepath.Join(filesystem.New(t, "tmpfs", mib), "img")
		}, state.NotReady, []string{"formatting", "mkfs.xfs"}},
		"no such directory":    {func(_ *testing.T, d *Disk, _ string) { d.Image += "/x" }, state.NotReady, []string{"no such file or directory"}},
		"an unknown kind":      {func(_ *testing.T, d *Disk, _ string) { d.Filesystem = "ntfs" }, state.Invalid, []string{`"ntfs"`, "btrfs or xfs"}},
		"a path with contents": {func(t *testing.T, _ *Disk, at string) { must(t, os.MkdirAll(filepath.Join(at, "volumes"), 0o755)) }, state.NotReady, []string{`"volumes"`, "hidden"}},
		"a symbolic link":      {func(t *testing.T, d *Disk, _ string) { must(t, os.Symlink("elsewhere", d.Image)) }, state.NotReady, []string{"symbolic link"}},
		"a directory":          {func(t *testing.T, d *Disk, _ string) { must(t, os.Mkdir(d.Image, 0o755)) }, state.NotReady, []string{"is a directory"}},
		"somebody's file": {func(t *testing.T, d *Disk, _ string) {
			must(t, os.WriteFile(d.Image, []byte("of use"), 0o600), os.Truncate(d.Image, 320*mib))
		}, state.NotReady, []string{"mounting", "pool.img"}},
		"no program": {func(t *testing.T, _ *Disk, _ string) {
			was := kinds["xfs"]
			t.Cleanup(func() { kinds["xfs"] = was })
			now := was
			now.maker.program = "mkfs.nosuch"
			kinds["xfs"] = now
		}, state.NotReady, []string{"mkfs.nosuch is missing", "install the package xfsprogs"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, at := newImage(t, "xfs", 320*mib)
			c.change(t, &d, at)
			before := process.Names(t, filepath.Dir(d.Image))
			wantError(t, d.Mount(t.Context(), at, true), c.reason, c.words...)
			if isMounted(t, at) {
				t.Error("something is mounted")
			}
			before[filepath.Base(at)] = true
			for n := range process.Names(t, filepath.Dir(d.Image)) {
				if !before[n] {
					t.Errorf("%s is left", n)
				}
			}
			wantDevices(t, filepath.Dir(d.Image), 0)
		})
	}
}

func TestSomethingElseIsMounted(t *testing.T) {
	d, at := newImage(t, "btrfs", 320*mib)
	must(t, os.Mkdir(at, 0o755))
	filesystem.Mount(t, "somewhere", at, "tmpfs", 0)
	wantError(t, d.Mount(t.Context(), at, true), state.NotReady, "is not there")
	must(t, unix.Unmount(at, 0))
	must(t, d.Mount(t.Context(), at, true))
	filesystem.Mount(t, "somewhere", at, "tmpfs", 0)
	wantError(t, d.Mount(t.Context(), at, false), state.NotReady, "somewhere (tmpfs) is mounted at "+at, d.Image, "unmount that")
}

func TestALeavingOfAnEarlierAttemptIsReplaced(t *testing.T) {
	d, at := newImage(t, "btrfs", 320*mib)
	leaving := filepath.Join(filepath.Dir(d.Image), ".pool.img.new")
	must(t, os.WriteFile(leaving, []byte("half"), 0o600))
	must(t, d.Mount(t.Context(), at, true))
	if _, err := os.Lstat(leaving); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// Another process at the same image would give it a second device.
func TestOneProcessAtATime(t *testing.T) {
	d, at := newImage(t, "btrfs", 320*mib)
	must(t, d.Mount(t.Context(), at, true), unix.Unmount(at, 0))
	f, err := os.Open(d.Image)
	must(t, err)
	defer f.Close()
	must(t, lock(f))
	wantError(t, d.Mount(t.Context(), at, false), state.NotReady, "another process")
	wantDevices(t, filepath.Dir(d.Image), 0)
}
