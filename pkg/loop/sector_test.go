package loop

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// TestAFileThatSharesBlocksKeepsItsSectors: what was made on a device of one kind of
// sectors may not work on another.
func TestAFileThatSharesBlocksKeepsItsSectors(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			dir := filesystem.New(t, kind, 512<<20)
			f, other := image(t, dir, 8<<20), image(t, dir, 0)
			if _, err := f.Write(make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			before := sectors(t, f)
			if err := unix.IoctlFileClone(int(other.Fd()), int(f.Fd())); err != nil {
				t.Fatal(err)
			}
			for what, file := range map[string]*os.File{"the file": f, "its copy": other} {
				if after := sectors(t, file); after != before {
					t.Errorf("%s has sectors of %d bytes, the file had %d before it shared blocks", what, after, before)
				}
			}
		})
	}
}

// sectors attaches a file for a moment.
func sectors(t *testing.T, f *os.File) int {
	t.Helper()
	a := attach(t, f, Options{})
	if !a.DirectIO {
		t.Errorf("%s has no direct I/O", Path(a.Number))
	}
	device, err := os.Open(Path(a.Number))
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := unix.IoctlGetInt(int(device.Fd()), unix.BLKSSZGET)
	if err != nil {
		t.Fatal(err)
	}
	if err := device.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Detach(t.Context()); err != nil {
		t.Fatal(err)
	}
	return bytes
}
