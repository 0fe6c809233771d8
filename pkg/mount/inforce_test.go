package mount

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

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
