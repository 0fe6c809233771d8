package filesystem

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m) }

func TestNew(t *testing.T) {
	const size = 512 << 20
	for kind, magic := range map[string]int64{
		"ext4": unix.EXT4_SUPER_MAGIC, "xfs": unix.XFS_SUPER_MAGIC, "btrfs": unix.BTRFS_SUPER_MAGIC,
		"tmpfs": unix.TMPFS_MAGIC, "ramfs": unix.RAMFS_MAGIC,
	} {
		t.Run(kind, func(t *testing.T) {
			var at string
			t.Run("is mounted during the test", func(t *testing.T) {
				at = New(t, kind, size)
				var st unix.Statfs_t
				if err := unix.Statfs(at, &st); err != nil {
					t.Fatal(err)
				}
				if int64(st.Type) != magic {
					t.Errorf("%s is of type %#x, want %#x", at, st.Type, magic)
				}
				if total := int64(st.Blocks) * st.Frsize; kind != "ramfs" && (total < size*8/10 || total > size) {
					t.Errorf("%s has %d bytes, want about %d", at, total, size)
				}
				if err := os.WriteFile(filepath.Join(at, "file"), []byte("x"), 0o600); err != nil {
					t.Error(err)
				}
			})
			if _, err := os.Lstat(at); !os.IsNotExist(err) {
				t.Errorf("%s is there after the test: %v", at, err)
			}
			if image := filepath.Join(filepath.Dir(at), "image"); len(backedBy(t, image)) > 0 {
				t.Errorf("%s is attached after the test to %v", image, backedBy(t, image))
			}
		})
	}
}

// backedBy returns the loop devices of an image, removed or not.
func backedBy(t *testing.T, image string) (devices []string) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), image) {
			devices = append(devices, f)
		}
	}
	return devices
}

func TestOptions(t *testing.T) {
	at := New(t, "ext4", 64<<20, MkfsArgs("-N", "64"), MountOptions("errors=continue"), MountFlags(unix.MS_NOATIME))
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		t.Fatal(err)
	}
	if st.Files > 256 || st.Flags&unix.ST_NOATIME == 0 {
		t.Errorf("%d inodes and flags %#x: mkfs or mount took no notice of the options", st.Files, st.Flags)
	}
	Remount(t, at, unix.MS_RDONLY)
	if err := os.Mkdir(filepath.Join(at, "dir"), 0o755); err == nil {
		t.Error("a directory can be made after remounting read-only")
	}
}

// failing is a test that only notes its failure.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMissingProgramFails(t *testing.T) {
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		find(f, "mkfs.nosuch", "nosuch-progs")
	}()
	<-done
	if !strings.Contains(f.said, "install the package nosuch-progs") {
		t.Errorf("a missing program is told as %q", f.said)
	}
}
