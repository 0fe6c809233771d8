package mount

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const testGroup = 2000

// groupVolume makes a directory with everything in it that may lie in a volume, and a
// file outside of it.
func groupVolume(t *testing.T) (volume, outside string) {
	t.Helper()
	dir := t.TempDir()
	volume, outside = filepath.Join(dir, "volume"), filepath.Join(dir, "outside")
	in := func(name string) string { return filepath.Join(volume, name) }
	if err := errors.Join(
		os.MkdirAll(in("dir/sub"), 0o700), os.Chmod(volume, 0o755),
		os.WriteFile(outside, nil, 0o600), os.WriteFile(in("file"), nil, 0o600), os.WriteFile(in("dir/sub/program"), nil, 0o755),
		os.Chmod(in("dir/sub/program"), 0o755|os.ModeSetgid|os.ModeSetuid),
		os.Symlink(outside, in("link")), os.Symlink("..", in("dir/up")), os.Link(in("file"), in("dir/other name")),
		unix.Mkfifo(in("fifo"), 0o600), unix.Mknod(in("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
	); err != nil {
		t.Fatal(err)
	}
	return volume, outside
}

func setGroup(t *testing.T, ctx context.Context, volume string, gid int) error {
	t.Helper()
	root, err := os.OpenFile(volume, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return SetGroup(ctx, root, gid)
}

// ownership tells of a group and permission bits, as "2000 2770".
func ownership(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(int(st.Gid)) + " " + strconv.FormatUint(uint64(st.Mode&0o7777), 8)
}

func TestAGroupIsGivenEverything(t *testing.T) {
	volume, outside := groupVolume(t)
	if err := setGroup(t, t.Context(), volume, testGroup); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"":                "2000 2775",
		"dir":             "2000 2770",
		"dir/sub":         "2000 2770",
		"file":            "2000 660",
		"dir/other name":  "2000 660",
		"dir/sub/program": "2000 4775",
		"fifo":            "2000 660",
		"link":            "2000 777",
		"dir/up":          "2000 777",
		"device":          "0 600",
	} {
		if got := ownership(t, filepath.Join(volume, name)); got != want {
			t.Errorf("%q is %s, want %s", name, got, want)
		}
	}
	if got := ownership(t, outside); got != "0 600" {
		t.Errorf("what a symbolic link leads to is %s", got)
	}
}

// Whoever has taken something from the group since keeps it.
func TestAVolumeThatIsTheGroupsIsLeftAlone(t *testing.T) {
	volume, _ := groupVolume(t)
	private := filepath.Join(volume, "private")
	if err := errors.Join(setGroup(t, t.Context(), volume, testGroup), os.WriteFile(private, nil, 0o600), setGroup(t, t.Context(), volume, testGroup)); err != nil {
		t.Fatal(err)
	}
	if got := ownership(t, private); got != "2000 600" { // the directory's setgid bit has made it the group's
		t.Errorf("it is %s", got)
	}
	if err := setGroup(t, t.Context(), volume, testGroup+1); err != nil {
		t.Fatal(err)
	}
	if got := ownership(t, private); got != "2001 660" {
		t.Errorf("given to another group, it is %s", got)
	}
}

func TestAWalkThatIsCutShortBeginsAnew(t *testing.T) {
	volume, _ := groupVolume(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := setGroup(t, ctx, volume, testGroup); state.ReasonOf(err) != state.Canceled {
		t.Errorf("error is %v", err)
	}
	if got := ownership(t, volume); got != "0 755" {
		t.Errorf("the root is %s already", got)
	}
	if err := setGroup(t, t.Context(), volume, testGroup); err != nil || ownership(t, filepath.Join(volume, "dir/sub")) != "2000 2770" {
		t.Errorf("%v, %s", err, ownership(t, filepath.Join(volume, "dir/sub")))
	}
}

// A tree is not too deep for paths, nor for descriptors.
func TestADeepTree(t *testing.T) {
	volume, _ := groupVolume(t)
	const levels = 3000
	name := strings.Repeat("d", 100)
	dir, err := unix.Open(volume, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range levels {
		next := -1
		if err = unix.Mkdirat(dir, name, 0o700); err == nil {
			next, err = unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		}
		unix.Close(dir)
		if err != nil {
			t.Fatal(err)
		}
		dir = next
	}
	defer unix.Close(dir)
	if err := setGroup(t, t.Context(), volume, testGroup); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil || st.Gid != testGroup || st.Mode&0o7777 != 0o2770 {
		t.Errorf("the deepest directory has group %d and mode %o, %v", st.Gid, st.Mode, err)
	}
}

// A directory that a pod moves while the walk is in it does not lead the walk elsewhere.
func TestADirectoryThatIsMovedMeanwhile(t *testing.T) {
	volume, _ := groupVolume(t)
	dir, err := unix.Open(filepath.Join(volume, "dir/sub"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(volume, "dir"), &st); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(volume, "dir/sub"), filepath.Join(volume, "sub")); err != nil {
		t.Fatal(err)
	}
	fd, err := up(dir, identity{dev: st.Dev, ino: st.Ino})
	unix.Close(fd)
	if state.ReasonOf(err) != state.Busy {
		t.Errorf("error is %v, want Busy", err)
	}
}
