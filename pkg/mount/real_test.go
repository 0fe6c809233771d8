package mount

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The tests of this file are of the kernel that they run on.

// world is a pool on a tmpfs of its own, and a place for targets.
type world struct {
	*testing.T
	pool, targets string
	table         *Table
}

func newWorld(t *testing.T) *world {
	t.Helper()
	root := resolved(t, t.TempDir())
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil { // other users must reach it
		t.Fatal(err)
	}
	w := &world{T: t, pool: filepath.Join(root, "disk", "the pool"), targets: filepath.Join(root, "targets")}
	w.mkdir(filepath.Join(root, "disk"))
	w.mkdir(w.targets)
	w.mount("tmpfs", filepath.Join(root, "disk"), "tmpfs", 0)
	w.mkdir(filepath.Join(w.pool, "volumes"))
	w.load()
	return w
}

func resolved(t *testing.T, dir string) string {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// load starts anew, as after a restart.
func (w *world) load() {
	w.Helper()
	var err error
	if w.table, err = Load(map[string]string{"p": w.pool}, LoadOptions{}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) mkdir(dir string) string {
	w.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	return dir
}

func (w *world) mount(source, target, fstype string, flags uintptr) {
	w.Helper()
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		w.Fatalf("mount %s: %v", target, err)
	}
	w.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

// volume makes a volume, and opens it.
func (w *world) volume(id string) *os.File {
	w.Helper()
	return openPath(w.T, w.mkdir(filepath.Join(w.pool, "volumes", id)))
}

func openPath(t *testing.T, dir string) *os.File {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), dir)
	t.Cleanup(func() { f.Close() })
	return f
}

func (w *world) target(name string) string { return filepath.Join(w.targets, name) }

func (w *world) publish(id string, source *os.File, target string, flags ...string) error {
	w.Helper()
	o, err := ParseFlags(flags)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
	return w.table.Publish(context.Background(), id, source, target, o, false)
}

func (w *world) unpublish(id string, source *os.File, target string) {
	w.Helper()
	if err := w.table.Unpublish(context.Background(), id, source, target); err != nil {
		w.Error(err)
	}
}

// mountsAt counts the mounts at a path, hidden ones too.
func mountsAt(t *testing.T, path string) int {
	t.Helper()
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	if err != nil {
		t.Fatal(err)
	}
	return len(mounts)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestPublishAndUnpublish(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.target("pods/x/mount me")
	for range 2 {
		wantReason(t, w.publish("a", a, target), "")
	}
	if n := mountsAt(t, target); n != 1 {
		t.Fatalf("%d mounts after two publishes; want 1", n)
	}
	if err := os.WriteFile(filepath.Join(target, "file"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(w.pool, "volumes/a/file")); err != nil || string(data) != "data" {
		t.Fatalf("in the pool there is %q, %v", data, err)
	}
	for dir, mode := range map[string]os.FileMode{"pods": 0o750, "pods/x": 0o750} {
		if info, err := os.Stat(w.target(dir)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %v", dir, info.Mode(), err, mode)
		}
	}
	is, err := w.table.IsPublishedAt("a", target, a)
	if err != nil || !is {
		t.Errorf("published: %v, %v", is, err)
	}
	for range 2 {
		w.unpublish("a", a, target)
	}
	if mountsAt(t, target) != 0 || exists(target) || !exists(filepath.Dir(target)) {
		t.Error("the target, and only that, should be gone")
	}
	if !exists(filepath.Join(w.pool, "volumes/a/file")) {
		t.Error("the volume's file is gone")
	}
	is, err = w.table.IsPublishedAt("a", target, a)
	if err != nil || is || w.table.Len() != 0 {
		t.Errorf("published: %v, %v, %v", is, err, w.table.All())
	}
}

func TestFlagsAreInForce(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	own := filepath.Join(w.pool, "volumes/a")
	if err := os.WriteFile(filepath.Join(own, "script"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(own, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("script", filepath.Join(own, "link")); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(own, "setuid"), self, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(own, "setuid"), os.ModeSetuid|0o755); err != nil {
		t.Fatal(err)
	}

	write := func(dir string) error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o600) }
	run := func(dir string) error { return exec.Command(filepath.Join(dir, "script")).Run() }
	device := func(dir string) error {
		f, err := os.OpenFile(filepath.Join(dir, "null"), os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		return err
	}
	follow := func(dir string) error {
		_, err := os.ReadFile(filepath.Join(dir, "link"))
		return err
	}
	setuid := func(dir string) error { // EPERM stands for: it did not become root
		cmd := exec.Command(filepath.Join(dir, "setuid"))
		cmd.Env = []string{euidEnv + "=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.Output()
		if err == nil && string(out) != "0" {
			return unix.EPERM
		}
		return err
	}

	plain := w.target("plain")
	wantReason(t, w.publish("a", a, plain), "")
	for _, c := range []struct {
		flag string
		try  func(dir string) error
		want error
	}{
		{"ro", write, unix.EROFS},
		{"noexec", run, unix.EACCES},
		{"nodev", device, unix.EACCES},
		{"nosuid", setuid, unix.EPERM},
		{"nosymfollow", follow, unix.ELOOP},
	} {
		if err := c.try(plain); err != nil {
			t.Errorf("without %s: %v", c.flag, err)
		}
		target := w.target(c.flag)
		wantReason(t, w.publish("a", a, target, c.flag), "")
		wantReason(t, w.publish("a", a, target, c.flag), "")
		wantReason(t, w.publish("a", a, target), state.AlreadyExists)
		wantReason(t, w.publish("a", a, plain, c.flag), state.AlreadyExists)
		if err := c.try(target); !errors.Is(err, c.want) {
			t.Errorf("with %s: %v; want %v", c.flag, err, c.want)
		}
		if err := c.try(plain); err != nil {
			t.Errorf("%s changed another target: %v", c.flag, err)
		}
		w.unpublish("a", a, target)
	}
}

func TestAccessTimeFlags(t *testing.T) {
	w := newWorld(t) // a tmpfs has the kernel's default, relatime
	a := w.volume("a")
	for asked, same := range map[string][]string{
		"":            {"", "relatime", "atime", "diratime"},
		"relatime":    {"", "relatime", "atime", "diratime"},
		"noatime":     {"noatime", "diratime,noatime"},
		"strictatime": {"strictatime"},
		"nodiratime":  {"nodiratime", "nodiratime,relatime"},
	} {
		list := func(flags string) []string {
			return strings.FieldsFunc(flags, func(r rune) bool { return r == ',' })
		}
		target := w.target("t" + asked)
		wantReason(t, w.publish("a", a, target, list(asked)...), "")
		for _, again := range []string{"", "relatime", "atime", "diratime", "noatime", "diratime,noatime", "strictatime",
			"nodiratime", "nodiratime,relatime", "nodiratime,noatime"} {
			want := state.AlreadyExists
			if slices.Contains(same, again) {
				want = ""
			}
			if err := w.publish("a", a, target, list(again)...); state.ReasonOf(err) != want {
				t.Errorf("%q published again as %q: %v; want %q", asked, again, err, want)
			}
		}
	}
}

func TestFlagsOfThePool(t *testing.T) {
	w := newWorld(t)
	disk := filepath.Dir(w.pool)
	remount := func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	a := w.volume("a")
	early, inherited, loosened := w.target("early"), w.target("inherited"), w.target("loosened")
	wantReason(t, w.publish("a", a, early), "")
	remount(unix.MS_NOSUID | unix.MS_NOATIME)
	wantReason(t, w.publish("a", a, early), "")
	wantReason(t, w.publish("a", a, inherited), "")
	wantReason(t, w.publish("a", a, inherited), "")
	wantReason(t, w.publish("a", a, inherited, "nosuid"), "")
	wantReason(t, w.publish("a", a, inherited, "suid"), state.AlreadyExists)
	wantReason(t, w.publish("a", a, loosened, "suid", "atime"), "")
	for target, want := range map[string]int64{
		early: unix.ST_RELATIME, inherited: unix.ST_NOSUID | unix.ST_NOATIME, loosened: unix.ST_RELATIME,
	} {
		var st unix.Statfs_t
		if err := unix.Statfs(target, &st); err != nil {
			t.Fatal(err)
		}
		if got := st.Flags & (unix.ST_NOSUID | unix.ST_NOATIME | unix.ST_RELATIME); got != want {
			t.Errorf("%s: statfs flags %#x; want %#x", target, got, want)
		}
	}
	remount(unix.MS_RDONLY)
	wantReason(t, w.publish("a", a, w.target("new")), state.NotReady)
	wantReason(t, w.publish("a", a, early), "")
	wantReason(t, w.publish("a", a, w.target("new"), "ro"), "")
}

// TestRefusals: what is in a target's way is refused by Publish, left alone by
// Unpublish, and not touched by either.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	elsewhere := w.mkdir(w.target("elsewhere"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(elsewhere, w.target("link")))
	must(os.Symlink(w.target("nowhere"), w.target("dangling")))
	must(os.WriteFile(w.target("file"), []byte("x"), 0o600))
	must(unix.Mkfifo(w.target("fifo"), 0o600))
	w.mkdir(w.target("full/sub"))
	w.mkdir(w.target("foreign"))
	w.mount("", w.target("foreign"), "tmpfs", 0) // no source: such lines are in the list, too

	for name, want := range map[string]state.Reason{
		"link":             state.Invalid,
		"dangling":         state.Invalid,
		"link/sub":         state.Invalid,
		"link/sub/sub":     state.Invalid,
		"dangling/sub":     state.Invalid,
		"file":             state.Invalid,
		"file/sub":         state.Invalid,
		"fifo":             state.Invalid,
		"full":             state.InUse,
		"foreign":          state.InUse,
		"new/../elsewhere": state.Invalid,
	} {
		target := w.targets + "/" + name
		before := tree(t, w.targets)
		err := w.publish("a", a, target)
		wantReason(t, err, want)
		if err != nil && !strings.Contains(err.Error(), "target_path") {
			t.Errorf("%v; want it to name the field", err)
		}
		if is, err := w.table.IsPublishedAt("a", target, a); is || err != nil && name != "new/../elsewhere" {
			t.Errorf("%s: published: %v, %v", name, is, err)
		}
		if name != "new/../elsewhere" {
			for _, source := range []*os.File{a, nil} {
				w.unpublish("a", source, target)
			}
		}
		if after := tree(t, w.targets); !slices.Equal(before, after) {
			t.Errorf("%s: %v became %v", name, before, after)
		}
	}
	if mountsAt(t, w.target("foreign")) != 1 {
		t.Error("the foreign mount is gone, or has another above it")
	}
	w.load() // it survives the mount without a source
	for _, target := range []string{w.pool, filepath.Join(w.pool, "volumes/b"), filepath.Join(w.pool, "volumes/a/sub")} {
		wantReason(t, w.publish("a", a, target), state.Invalid)
		wantReason(t, w.table.Unpublish(context.Background(), "a", a, target), state.Invalid)
	}
}

func tree(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all = append(all, path+" "+d.Type().String())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A mount that fails, after all its directories were made, leaves none of them.
func TestFailureLeavesNothing(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	if err := os.Mkdir(w.target("given"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.table.kernel = failing{linux{}}
	before := tree(t, w.targets)
	wantReason(t, w.publish("a", a, w.target("given/new/er/x")), state.NotReady)
	wantReason(t, w.publish("a", a, w.target("given")), state.NotReady)
	if after := tree(t, w.targets); !slices.Equal(before, after) || w.table.Len() != 0 {
		t.Errorf("%v became %v", before, after)
	}
}

// failing is the kernel with no room for mounts.
type failing struct{ kernel }

func (k failing) open(target string, create kind) (place, error) {
	p, err := k.kernel.open(target, create)
	return failingPlace{p}, err
}

type failingPlace struct{ place }

func (failingPlace) attach(*os.File, Options) error { return unix.ENOSPC }

func TestBusyTarget(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.target("x")
	wantReason(t, w.publish("a", a, target), "")
	f, err := os.Create(filepath.Join(target, "open"))
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, w.table.Unpublish(context.Background(), "a", a, target), state.InUse)
	if mountsAt(t, target) != 1 || w.table.Len() != 1 {
		t.Error("it was unmounted while in use, or forgotten")
	}
	f.Close()
	w.unpublish("a", a, target)
}

func TestExclusive(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	ctx := context.Background()
	x, y := w.target("x"), w.target("y")
	publish := func(target string, exclusive bool) error {
		return w.table.Publish(ctx, "a", a, target, Options{}, exclusive)
	}
	wantReason(t, publish(x, true), "")
	wantReason(t, publish(x, true), "")
	for _, exclusive := range []bool{true, false} {
		err := publish(y, exclusive)
		wantReason(t, err, state.InUse)
		if err != nil && !strings.Contains(err.Error(), x) || exists(y) {
			t.Errorf("%v; want it to name %s, and no %s", err, x, y)
		}
	}
	// Unmounted by hand, it counts no more.
	if err := unix.Unmount(x, 0); err != nil {
		t.Fatal(err)
	}
	wantReason(t, publish(y, true), "")
	if err := unix.Unmount(y, 0); err != nil {
		t.Fatal(err)
	}
	wantReason(t, publish(y, false), "")
	wantReason(t, publish(x, false), "")
	wantReason(t, publish(y, false), "")
	w.load()
	wantReason(t, publish(x, true), state.InUse)
	w.unpublish("a", a, x)
	w.unpublish("a", a, y)
}

// TestHiddenAndMoved: a publish that cannot be seen where it was made still keeps
// its volume from being deleted.
func TestHiddenAndMoved(t *testing.T) {
	w := newWorld(t)
	a, b := w.volume("a"), w.volume("b")
	hidden, moved := w.target("hidden"), w.target("parent/moved")
	wantReason(t, w.publish("a", a, hidden), "")
	w.mount("tmpfs", hidden, "tmpfs", 0)
	w.unpublish("a", a, hidden)
	wantReason(t, w.publish("b", b, moved), "")
	if err := os.Rename(w.target("parent"), w.target("renamed")); err != nil {
		t.Fatal(err)
	}
	w.unpublish("b", b, moved)
	for range 2 {
		for _, id := range []string{"a", "b"} {
			_, err := w.table.Retire(id)
			wantReason(t, err, state.InUse)
		}
		w.load()
	}
	w.unpublish("b", nil, w.target("renamed/moved"))
	if err := unix.Unmount(hidden, 0); err != nil {
		t.Fatal(err)
	}
	w.unpublish("a", nil, hidden)
	for _, id := range []string{"a", "b"} {
		release, err := w.table.Retire(id)
		wantReason(t, err, "")
		release()
	}
}

// TestRestart: a new process knows all publishes, and undoes them without the
// volumes' directories.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	var want []Published
	for _, id := range []string{"a", "b", "gone"} {
		source := w.volume(id)
		for _, name := range []string{"one", "two words\n\\040"} {
			target := w.target(id + "/" + name)
			wantReason(t, w.publish(id, source, target, "ro"), "")
			want = append(want, Published{id, target})
		}
	}
	if err := os.Remove(filepath.Join(w.pool, "volumes/gone")); err != nil {
		t.Fatal(err)
	}
	// Mounts beneath the pool, of the pool, and of parts of volumes are no publishes.
	for from, to := range map[string]string{
		w.pool:                             w.mkdir(w.target("pool")),
		filepath.Join(w.pool, "volumes/a"): w.mkdir(filepath.Join(w.pool, "volumes/b/a")),
		w.mkdir(filepath.Join(w.pool, "volumes/a/sub")):         w.mkdir(w.target("sub")),
		w.mkdir(filepath.Join(w.pool, "volumes/a/sub/volumes")): w.mkdir(w.target("volumes")),
	} {
		w.mount(from, to, "", unix.MS_BIND)
	}
	w.load()
	if got := w.table.All(); !slices.Equal(got, want) {
		t.Fatalf("found %q; want %q", got, want)
	}
	for _, p := range want {
		if is, err := w.table.IsPublishedAt(p.VolumeID, p.Target, nil); err != nil || !is {
			t.Errorf("%q: %v, %v", p, is, err)
		}
		w.unpublish(p.VolumeID, nil, p.Target)
		if mountsAt(t, p.Target) != 0 || exists(p.Target) {
			t.Errorf("%q is left", p)
		}
	}
	if w.table.Len() != 0 {
		t.Errorf("left are %q", w.table.All())
	}
}

// TestBehindTheTable: mounts made after Load by someone else, one upon the other,
// are the volume's nevertheless.
func TestBehindTheTable(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	target := w.mkdir(w.target("x"))
	for range 3 {
		w.mount(filepath.Join(w.pool, "volumes/a"), target, "", unix.MS_BIND)
	}
	wantReason(t, w.publish("a", a, target), "")
	w.unpublish("b", nil, target)
	if n := mountsAt(t, target); n != 3 {
		t.Fatalf("%d mounts; want 3", n)
	}
	w.load()
	w.unpublish("a", nil, target)
	if mountsAt(t, target) != 0 || exists(target) {
		t.Error("something is left")
	}
}

func TestAddPool(t *testing.T) {
	w := newWorld(t)
	second := w.mkdir(w.target("disk2"))
	w.mount("tmpfs", second, "tmpfs", 0)
	alias := w.target("alias")
	if err := os.Symlink(second, alias); err != nil {
		t.Fatal(err)
	}
	volume := w.mkdir(filepath.Join(second, "volumes/z"))
	target := w.mkdir(w.target("x"))
	w.mount(volume, target, "", unix.MS_BIND)
	if w.table.Len() != 0 {
		t.Fatal("a publish of an unknown pool")
	}
	if err := w.table.AddPool("second", alias); err != nil {
		t.Fatal(err)
	}
	if got := w.table.Published("z"); !slices.Equal(got, []string{target}) {
		t.Errorf("found %v; want %s", got, target)
	}
	wantReason(t, w.table.AddPool("third", w.target("missing")), state.NotReady)
	w.unpublish("z", nil, target)
}

func TestTrustedRoot(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	real, link := w.mkdir(w.target("real")), w.target("link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(w.targets, filepath.Join(real, "out")); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(link, "pods/x")
	wantReason(t, w.publish("a", a, target), state.Invalid)
	var err error
	w.table, err = Load(map[string]string{"p": w.pool}, LoadOptions{TrustedRoots: []string{link + "/", w.target("not there")}})
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, w.publish("a", a, target), "")
	wantReason(t, w.publish("a", a, filepath.Join(link, "out/x")), state.Invalid)
	if got := w.table.Published("a"); !slices.Equal(got, []string{filepath.Join(real, "pods/x")}) {
		t.Errorf("published are %v", got)
	}
	wantReason(t, w.publish("a", a, filepath.Join(real, "pods/x")), "")
	if is, err := w.table.IsPublishedAt("a", target, a); err != nil || !is {
		t.Errorf("published: %v, %v", is, err)
	}
	w.unpublish("a", a, target)
	if exists(target) || w.table.Len() != 0 {
		t.Error("something is left")
	}
}

// TestSharedParent: where the targets' parent is visible twice, one publish is two
// mounts, but counts once; and what is mounted in a volume stays in that target.
func TestSharedParent(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	shared, copied := w.mkdir(w.target("shared")), w.mkdir(w.target("copied"))
	w.mount("tmpfs", shared, "tmpfs", 0)
	for _, dir := range []string{shared, filepath.Dir(w.pool)} {
		if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
			t.Fatal(err)
		}
	}
	w.mount(shared, copied, "", unix.MS_BIND)
	x, y := filepath.Join(shared, "x"), filepath.Join(shared, "y")
	ctx := context.Background()
	publish := func(target string, exclusive bool) error {
		return w.table.Publish(ctx, "a", a, target, Options{}, exclusive)
	}
	wantReason(t, publish(x, true), "")
	if mountsAt(t, filepath.Join(copied, "x")) != 1 {
		t.Fatal("the publish was not propagated")
	}
	w.load()
	if w.table.Len() != 1 {
		t.Errorf("found %v; want one publish", w.table.All())
	}
	wantReason(t, publish(x, true), "")
	wantReason(t, publish(y, false), state.InUse)
	w.unpublish("a", a, x)
	if mountsAt(t, filepath.Join(copied, "x")) != 0 {
		t.Error("the copy is left")
	}
	wantReason(t, publish(x, false), "")
	wantReason(t, publish(y, false), "")
	w.load()
	if w.table.Len() != 2 {
		t.Errorf("found %v; want two publishes", w.table.All())
	}
	w.mkdir(filepath.Join(x, "sub"))
	w.mount("tmpfs", filepath.Join(x, "sub"), "tmpfs", 0)
	for _, other := range []string{y, filepath.Join(w.pool, "volumes/a")} {
		if mountsAt(t, filepath.Join(other, "sub")) != 0 {
			t.Errorf("a mount in one target appeared in %s", other)
		}
	}
	wantReason(t, w.table.Unpublish(ctx, "a", a, x), state.InUse) // something is mounted in it
}

// TestNotRecursive: what is mounted in the volume at its pool is not published.
func TestNotRecursive(t *testing.T) {
	w := newWorld(t)
	a := w.volume("a")
	sub := w.mkdir(filepath.Join(w.pool, "volumes/a/sub"))
	w.mount("tmpfs", sub, "tmpfs", 0)
	if err := os.WriteFile(filepath.Join(sub, "secret"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantReason(t, w.publish("a", a, w.target("x")), "")
	if exists(w.target("x/sub/secret")) {
		t.Error("a mount below the volume was published with it")
	}
}

// TestBtrfs: there, a subvolume's st_dev is not the device of the kernel's list.
func TestBtrfs(t *testing.T) {
	w := newWorld(t)
	image, disk := w.target("image"), w.mkdir(w.target("btrfs"))
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 128<<20); err != nil {
		t.Fatal(err)
	}
	w.run("mkfs.btrfs", "-q", image)
	w.mount(w.loop(image), disk, "btrfs", 0)
	w.pool = w.mkdir(filepath.Join(disk, "pool"))
	w.mkdir(filepath.Join(w.pool, "volumes"))
	own := filepath.Join(w.pool, "volumes/sv")
	w.run("btrfs", "-q", "subvolume", "create", own)
	w.load()
	source, target := openPath(t, own), w.target("x")
	wantReason(t, w.publish("sv", source, target), "")
	w.load()
	if got := w.table.Published("sv"); !slices.Equal(got, []string{target}) {
		t.Fatalf("found %v; want %s", got, target)
	}
	wantReason(t, w.publish("sv", source, target), "")
	w.unpublish("sv", nil, target)
	if mountsAt(t, target) != 0 {
		t.Error("it is still mounted")
	}
	source.Close()
}

func (w *world) run(name string, args ...string) string {
	w.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.Fatalf("%s: %v: %s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// loop makes a loop device that goes away by itself when nothing uses it.
func (w *world) loop(image string) string {
	w.Helper()
	device := w.run("losetup", "--find", "--show", image)
	w.Cleanup(func() { w.run("losetup", "--detach", device) })
	return device
}
