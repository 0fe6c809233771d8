package disk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// newDevice makes a block device, all zeros, that ends with the test.
func newDevice(t *testing.T, kind string, size int64) (d Disk, at string, a *loop.Attachment) {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "disk"))
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(size))
	a, err = loop.Loop{}.Attach(t.Context(), f, loop.Options{Lapsing: true})
	must(t, err)
	at = filepath.Join(dir, "pool")
	t.Cleanup(func() {
		unmountAll(at)
		a.Close()
		wantDevices(t, dir, 0)
	})
	return Disk{Device: loop.Path(a.Number), Filesystem: kind}, at, a
}

// poke writes to a device.
func poke(t *testing.T, d Disk, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(d.Device, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(b, at)
	must(t, err, f.Sync(), f.Close())
}

func TestABlankDeviceIsFormattedOnce(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at, _ := newDevice(t, kind, 512*mib)
		link := filepath.Join(filepath.Dir(at), "by-id")
		must(t, os.Symlink(d.Device, link))
		byID := d
		byID.Device = link
		must(t, byID.Mount(t.Context(), at, true))
		must(t, os.WriteFile(filepath.Join(at, "file"), []byte("kept"), 0o600))
		must(t, d.Mount(t.Context(), at, true)) // the driver was killed before it noted the pool
		must(t, unix.Unmount(at, 0))
		must(t, d.Mount(t.Context(), at, true))
		must(t, unix.Unmount(at, 0))
		must(t, d.Mount(t.Context(), at, false))
		if b, err := os.ReadFile(filepath.Join(at, "file")); string(b) != "kept" {
			t.Errorf("the file has %q, %v", b, err)
		}
		f, err := os.Open(d.Device)
		must(t, err)
		defer f.Close()
		if claimed, err := readClaim(f, claimPlace(512*mib)); claimed || err != nil {
			t.Errorf("the claim is still there (%v)", err)
		}
	})
}

func TestADeviceThatCarriesSomethingIsLeftAlone(t *testing.T) {
	mkfs := func(program string, args ...string) func(*testing.T, Disk) {
		return func(t *testing.T, d Disk) {
			if out, err := exec.Command(program, append(args, d.Device)...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", program, err, out)
			}
		}
	}
	const size = 320 * mib
	for name, c := range map[string]struct {
		change func(*testing.T, Disk)
		words  []string
	}{
		"ext4":               {mkfs("mkfs.ext4", "-q"), []string{"carries ext2, ext3 or ext4"}},
		"the other kind":     {mkfs("mkfs.btrfs", "-q"), []string{"carries btrfs", "to carry xfs"}},
		"swap":               {mkfs("mkswap"), []string{"carries swap"}},
		"LUKS":               {func(t *testing.T, d Disk) { poke(t, d, 0, []byte("LUKS\xba\xbe\x00\x02")) }, []string{"carries LUKS"}},
		"LVM":                {func(t *testing.T, d Disk) { poke(t, d, 512, []byte("LABELONE")) }, []string{"carries LVM"}},
		"RAID at the end":    {func(t *testing.T, d Disk) { poke(t, d, size-8192, []byte("\xfc\x4e\x2b\xa9")) }, []string{"carries RAID"}},
		"partitions, MBR":    {func(t *testing.T, d Disk) { poke(t, d, 510, []byte("\x55\xaa")) }, []string{"partition table (MBR)"}},
		"partitions, GPT":    {func(t *testing.T, d Disk) { poke(t, d, size-512, []byte("EFI PART")) }, []string{"partition table (GPT)"}},
		"one byte":           {func(t *testing.T, d Disk) { poke(t, d, 300000, []byte{1}) }, []string{"something unknown (a byte at 300000", "blkdiscard -z"}},
		"one byte, the last": {func(t *testing.T, d Disk) { poke(t, d, size-1, []byte{1}) }, []string{"something unknown (a byte at 1 from its end"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, at, _ := newDevice(t, "xfs", size)
			c.change(t, d)
			before := contents(t, at)
			wantError(t, d.Mount(t.Context(), at, true), state.NotReady, append(c.words, d.Device)...)
			if !bytes.Equal(contents(t, at), before) {
				t.Error("something was written to it")
			}
			if isMounted(t, at) {
				t.Error("it is mounted")
			}
		})
	}
}

// contents reads what matters of the disk beside a mount point.
func contents(t *testing.T, at string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(filepath.Dir(at), "disk"))
	must(t, err)
	defer f.Close()
	st, err := f.Stat()
	must(t, err)
	b := make([]byte, 2*edge+claimBytes)
	_, err = f.ReadAt(b[:edge], 0)
	_, err2 := f.ReadAt(b[edge:2*edge], st.Size()-edge)
	_, err3 := f.ReadAt(b[2*edge:], claimPlace(st.Size()))
	must(t, err, err2, err3)
	return b
}

func TestADeviceThatCannotBeTaken(t *testing.T) {
	t.Run("blank, though its pool was here", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 320*mib)
		wantError(t, d.Mount(t.Context(), at, false), state.NotReady, "is blank, though its pool was here")
	})
	t.Run("too small", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 100*mib)
		wantError(t, d.Mount(t.Context(), at, true), state.Invalid, "104857600", "335544320")
	})
	t.Run("not there", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 320*mib)
		d.Device = "/dev/nosuch"
		wantError(t, d.Mount(t.Context(), at, true), state.NotReady, "/dev/nosuch", "attach it")
	})
	t.Run("no device", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 320*mib)
		d.Device = "/etc/passwd"
		wantError(t, d.Mount(t.Context(), at, true), state.Invalid, "no block device")
	})
	t.Run("held by somebody", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 320*mib)
		f, err := os.OpenFile(d.Device, os.O_RDONLY|unix.O_EXCL, 0)
		must(t, err)
		defer f.Close()
		wantError(t, d.Mount(t.Context(), at, true), state.NotReady, "cannot be formatted")
	})
	t.Run("image and device", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 320*mib)
		d.Image = "/srv/img"
		wantError(t, d.Mount(t.Context(), at, true), state.Invalid, "both declared")
		wantError(t, Disk{Filesystem: "xfs"}.Mount(t.Context(), at, true), state.Invalid, "neither")
	})
}

// A device whose formatting was cut short, at whatever byte, is formatted anew; one that
// only looks like it is not.
func TestADeviceThatWasBeingFormatted(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at, _ := newDevice(t, kind, 512*mib)
		poke(t, d, claimPlace(512*mib), claim())
		poke(t, d, 0, []byte("half a superblock"))
		poke(t, d, 512*mib-edge, []byte("and half of another"))
		wantError(t, d.Mount(t.Context(), at, false), state.NotReady, "something unknown") // not without leave
		must(t, d.Mount(t.Context(), at, true))
		must(t, unix.Unmount(at, 0))
		must(t, d.Mount(t.Context(), at, false))
	})
	t.Run("a claim with a hole", func(t *testing.T) {
		d, at, _ := newDevice(t, "xfs", 512*mib)
		poke(t, d, claimPlace(512*mib), claim()[:claimBytes-1])
		poke(t, d, 0, []byte("half a superblock"))
		wantError(t, d.Mount(t.Context(), at, true), state.NotReady, "something unknown")
	})
}

// mkfs leaves the claim alone, so that a crash at its very end is recognised.
func TestMkfsDoesNotWriteWhereTheClaimLies(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		for _, size := range []int64{320 * mib, 1 << 30, 10 << 30, 1 << 40} {
			d, _, _ := newDevice(t, kind, size)
			poke(t, d, claimPlace(size), claim())
			f, err := os.OpenFile(d.Device, os.O_RDWR, 0)
			must(t, err)
			must(t, kinds[kind].maker.run(t.Context(), f))
			claimed, err := readClaim(f, claimPlace(size))
			if !claimed || err != nil {
				t.Errorf("of %d bytes: the claim is gone (%v)", size, err)
			}
			must(t, f.Close())
		}
	})
}

func TestADeviceGrows(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		d, at, a := newDevice(t, kind, 320*mib)
		must(t, d.Mount(t.Context(), at, true))
		before := sizeAt(t, at)
		must(t, os.Truncate(filepath.Join(filepath.Dir(at), "disk"), 400*mib), a.Grow())
		must(t, d.Mount(t.Context(), at, false))
		if got := sizeAt(t, at) - before; got != 80*mib {
			t.Errorf("grown by 80 MiB, the filesystem has %d bytes more", got)
		}
	})
}

func TestIdentify(t *testing.T) {
	first, last := make([]byte, edge), make([]byte, edge)
	if got := identify(first, last); got != "" {
		t.Errorf("all zeros are %q", got)
	}
	for _, m := range marks {
		first, last := make([]byte, edge), make([]byte, edge)
		if m.at < 0 {
			copy(last[edge+m.at:], m.bytes)
		} else {
			copy(first[m.at:], m.bytes)
		}
		if got := identify(first, last); got != m.what {
			t.Errorf("the mark of %s at %d is taken for %q", m.what, m.at, got)
		}
	}
}
