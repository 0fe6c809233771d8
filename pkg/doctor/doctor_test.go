package doctor

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/btrfs"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }

const mib = 1 << 20

func TestAMachineThatMountsIsWell(t *testing.T) {
	for _, f := range (Machine{KubeletDir: shared(t)}).Check() {
		if f.Verdict != OK || f.About != "machine" || f.Found == "" {
			t.Errorf("on the machine of these tests, doctor finds %+v", f)
		}
	}
}

func TestTheKubeletsDirectory(t *testing.T) {
	private := filesystem.New(t, "tmpfs", mib)
	moved := filepath.Join(t.TempDir(), "kubelet")
	must(t, os.Symlink(shared(t), moved))
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		dir, check string
		want       Verdict
		remedy     string
	}{
		"is shared":               {shared(t), "mount propagation", OK, ""},
		"is beneath a shared one": {filepath.Join(mkdir(t, shared(t), "a b"), "."), "mount propagation", OK, ""},
		"is private":              {private, "mount propagation", Failure, "mount --make-rshared " + private},
		"is private, with spaces": {mkdir(t, private, "a b"), "mount propagation", Failure, "mount --make-rshared " + private + ";"},
		"was moved":               {moved, "kubelet", Warning, "--target-root " + moved},
		"is missing":              {"/nonexistent", "kubelet", Warning, "--kubelet-dir"},
		"is a file":               {file, "kubelet", Failure, ""},
	} {
		t.Run(name, func(t *testing.T) {
			wantFinding(t, checkKubelet(c.dir), c.check, c.want, c.remedy)
		})
	}
}

func TestARemedyIsFollowedAndHelps(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		flags  uintptr
		check  string
		before Verdict
	}{
		"mount propagation": {"tmpfs", 0, "mount propagation", Failure},
		"read-only":         {"ext4", unix.MS_RDONLY, "filesystem", Failure},
		"noexec":            {"ext4", unix.MS_NOEXEC, "filesystem", Warning},
		"btrfs quota":       {"btrfs", 0, "limits", Warning},
	} {
		t.Run(name, func(t *testing.T) {
			at := filesystem.New(t, c.kind, 256*mib, filesystem.MountFlags(c.flags))
			look := func() []Finding {
				if c.check == "mount propagation" {
					return checkKubelet(at)
				}
				return Pool{Name: "default", Path: filepath.Join(at, "pool")}.Check()
			}
			command := wantFinding(t, look(), c.check, c.before, at).Remedy
			if i := strings.LastIndex(command, "; "); c.check == "filesystem" && i >= 0 {
				command = command[i+2:]
			} else if i := strings.Index(command, "; "); i >= 0 {
				command = command[:i]
			}
			if c.kind == "btrfs" { // by the kernel's call: the program may be older than --simple
				must(t, btrfs.EnableQuota(at))
			} else if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			wantFinding(t, look(), c.check, OK, "")
		})
	}
}

func TestAPoolsFilesystem(t *testing.T) {
	for name, c := range map[string]struct {
		kind string
		opts []filesystem.Option
		want map[string]Verdict
	}{
		"ext4":                {"ext4", nil, map[string]Verdict{"filesystem": OK, "trusted xattrs": OK, "limits": Warning, "reflink": Warning, "room": OK, "directory": OK}},
		"ext4, small blocks":  {"ext4", []filesystem.Option{filesystem.MkfsArgs("-b", "1024")}, map[string]Verdict{"trusted xattrs": Warning}},
		"XFS":                 {"xfs", nil, map[string]Verdict{"filesystem": OK, "trusted xattrs": OK, "limits": Warning, "reflink": OK}},
		"XFS without reflink": {"xfs", []filesystem.Option{filesystem.MkfsArgs("-m", "reflink=0")}, map[string]Verdict{"reflink": Warning}},
		"btrfs":               {"btrfs", nil, map[string]Verdict{"filesystem": OK, "trusted xattrs": OK, "limits": Warning, "reflink": OK}},
		"tmpfs":               {"tmpfs", nil, map[string]Verdict{"filesystem": Warning, "trusted xattrs": OK, "limits": Warning, "reflink": Warning}},
		"ramfs":               {"ramfs", nil, map[string]Verdict{"filesystem": Warning, "trusted xattrs": Failure}},
	} {
		t.Run(name, func(t *testing.T) {
			at := filesystem.New(t, c.kind, 512*mib, c.opts...)
			p := Pool{Name: "default", Path: filepath.Join(at, "pool")}
			must(t, os.Mkdir(p.Path, 0o755))
			for check, want := range c.want {
				wantFinding(t, p.Check(), check, want, "")
			}
			if names := entries(t, p.Path); len(names) > 0 {
				t.Errorf("doctor left %q behind", names)
			}
		})
	}
}

func TestAPoolsDirectory(t *testing.T) {
	at := filesystem.New(t, "ext4", 64*mib)
	made := filepath.Join(at, "made")
	must(t, pool.Prepare(made, "store-1"))
	lost := filepath.Join(at, "lost")
	must(t, pool.Prepare(lost, "store-1"), os.Remove(filepath.Join(lost, pool.MarkerName)))
	mkdir(t, lost, "volumes", "pvc-1")
	link := filepath.Join(at, "link")
	must(t, os.Symlink(made, link))
	file := filepath.Join(at, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, c := range map[string]struct {
		path   string
		want   Verdict
		remedy string
	}{
		"a pool":                         {made, OK, ""},
		"to be made":                     {filepath.Join(at, "a", "b"), OK, ""},
		"empty":                          {mkdir(t, at, "empty"), OK, ""},
		"a pool that lost its marker":    {lost, Failure, "bring .hostpath-csi.json back"},
		"a symbolic link":                {link, Failure, made},
		"to be made in a symbolic link":  {filepath.Join(link, "x"), Failure, "the directory itself"},
		"beneath a file":                 {filepath.Join(file, "x"), Failure, ""},
		"a file":                         {file, Failure, ""},
		"a pool whose disk is not there": {filepath.Join(mkdir(t, at, "mnt"), "pool"), OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := wantFinding(t, Pool{Name: "default", Path: c.path}.Check(), "directory", c.want, c.remedy)
			if f.About != "pool default" {
				t.Errorf("it is about %q", f.About)
			}
		})
	}
	unmounted := Pool{Name: "default", Path: filepath.Join(at, "mnt"), RequireMountPoint: true}
	wantFinding(t, unmounted.Check(), "mount point", Failure, "mount the pool's disk at "+unmounted.Path)
}

func TestAFullDiskIsToldOf(t *testing.T) {
	at := filesystem.New(t, "tmpfs", mib)
	must(t, os.WriteFile(filepath.Join(at, "file"), make([]byte, mib-8192), 0o600))
	wantFinding(t, Pool{Name: "default", Path: filepath.Join(at, "pool")}.Check(), "room", Warning, "hostpath-csi du")
}

func TestWordsOfACommandLineAreQuoted(t *testing.T) {
	for given, want := range map[string]string{"/mnt/a-b_c.d": "/mnt/a-b_c.d", "": "''", "a b": "'a b'", "$(reboot)": "'$(reboot)'", "it's": `'it'\''s'`} {
		if got := shellQuote(given); got != want {
			t.Errorf("%q is quoted as %s, want %s", given, got, want)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(given)).Output()
		if err != nil || string(out) != given {
			t.Errorf("a shell reads %q, %v; want %q", out, err, given)
		}
	}
}

// wantFinding returns the finding of that check, which has to be what is wanted.
func wantFinding(t *testing.T, all []Finding, check string, want Verdict, remedy string) Finding {
	t.Helper()
	for _, f := range all {
		if f.Check != check {
			continue
		}
		if f.Verdict != want || !strings.Contains(f.Remedy, remedy) {
			t.Errorf("%s: %+v, want %s and a remedy with %q", check, f, want, remedy)
		}
		if f.Verdict == OK && f.Remedy != "" {
			t.Errorf("%s is well and has a remedy: %+v", check, f)
		}
		return f
	}
	t.Fatalf("nothing was checked as %q: %+v", check, all)
	return Finding{}
}

// shared mounts a directory that shares what is mounted in it.
func shared(t *testing.T) string {
	t.Helper()
	at := filesystem.New(t, "tmpfs", mib)
	must(t, unix.Mount("", at, "", unix.MS_SHARED, ""))
	return at
}

func mkdir(t *testing.T, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	must(t, os.MkdirAll(path, 0o755))
	return path
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
