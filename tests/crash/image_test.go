package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	filesystems "github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// filesystem is one on which the power is cut. A journal that is not committed
// every few seconds leaves more to be lost.
type filesystem struct {
	kind, size, options string
}

var (
	ext4 = filesystem{"ext4", "96M", "commit=300"}
	// Its copies have the same UUID, and somebody else's mount namespace may hold the
	// one before for a moment longer.
	xfs   = filesystem{"xfs", "300M", "nouuid"}
	btrfs = filesystem{"btrfs", "128M", "commit=300"}
)

// run runs a program, which has to succeed, and returns what it printed.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// imagesDir returns a directory for images, in memory: what is written to a disk
// there is what it holds.
func imagesDir(t testing.TB) string {
	t.Helper()
	dir := process.TempDir(t)
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", images, "tmpfs", 0, "size=4g"); err != nil {
		t.Fatal(err)
	}
	return images
}

// makeImage makes a disk with an empty filesystem on it.
func makeImage(t testing.TB, fs filesystem, path string) {
	t.Helper()
	run(t, "truncate", "--size", fs.size, path)
	run(t, "mkfs."+fs.kind, "-q", path)
}

// disk is an image that is mounted.
type disk struct {
	fs     filesystem
	image  string
	at     string
	device *os.File // nil: it is not mounted
}

// mountImage mounts the image at a directory, until unmount or the end of the test.
func mountImage(t testing.TB, fs filesystem, image, at string) *disk {
	t.Helper()
	if err := os.MkdirAll(at, 0o711); err != nil {
		t.Fatal(err)
	}
	device, err := filesystems.Attach(image)
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{fs, image, at, device}
	t.Cleanup(func() { d.unmount(t) })
	if err := syscall.Mount(device.Name(), at, fs.kind, 0, fs.options); err != nil {
		t.Fatalf("mounting %s, %s, at %s: %v", image, fs.kind, at, err)
	}
	return d
}

func (d *disk) unmount(t testing.TB) {
	t.Helper()
	if d.device == nil {
		return
	}
	// After a mount that failed there is none.
	if err := syscall.Unmount(d.at, 0); err != nil && err != syscall.EINVAL {
		t.Errorf("unmounting %s: %v", d.at, err)
		_ = syscall.Unmount(d.at, syscall.MNT_DETACH)
	}
	d.letGo(t)
}

// letGo closes the device, which is gone with its last user.
func (d *disk) letGo(t testing.TB) {
	t.Helper()
	if err := d.device.Close(); err != nil {
		t.Error(err)
	}
	d.device = nil
}

// copyAll copies what the disks hold as it is, without what the kernel has not
// written to them. It is of one instant: nothing is written while it is made, or
// else it is made again.
func copyAll(t testing.TB, disks []*disk, suffix string) (copies []string) {
	t.Helper()
	process.Eventually(t, "nothing is written while the disks are copied", func() error {
		copies = nil
		before := writes(t, disks)
		for _, d := range disks {
			to := d.image + suffix
			run(t, "cp", "--reflink=auto", "--sparse=always", d.image, to)
			copies = append(copies, to)
		}
		if after := writes(t, disks); after != before {
			return fmt.Errorf("writes were %s before and are %s", before, after)
		}
		return nil
	})
	return copies
}

// writes tells what the disks' statistics say: requests done and under way.
func writes(t testing.TB, disks []*disk) (all string) {
	t.Helper()
	for _, d := range disks {
		b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(d.device.Name()), "stat"))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b)) // Documentation/block/stat.rst
		all += fmt.Sprintf("[%s writes, %s flushes, %s in flight]", f[4], f[15], f[8])
	}
	return all
}
