package pool

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
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestOpenRefuses(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"no volumes":          func(path string) error { return os.Remove(filepath.Join(path, VolumesDir)) },
		"no trash":            func(path string) error { return os.Remove(filepath.Join(path, TrashDir)) },
		"no marker":           func(path string) error { return os.Remove(filepath.Join(path, MarkerName)) },
		"no directory at all": os.RemoveAll,
		"a link as volumes": func(path string) error {
			return errors.Join(os.Rename(filepath.Join(path, VolumesDir), filepath.Join(path, "v")), os.Symlink("v", filepath.Join(path, VolumesDir)))
		},
		"a file as .tmp": func(path string) error {
			return errors.Join(os.Remove(filepath.Join(path, BuildDir)), os.WriteFile(filepath.Join(path, BuildDir), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := prepare(t, filepath.Join(disk(t), "pool"))
			if err := damage(path); err != nil {
				t.Fatal(err)
			}
			_, err := Open(path)
			wantReason(t, state.NotReady, err)
		})
	}
}

// TestOpenRefusesAnotherMount: what is built could not be renamed to it.
func TestOpenRefusesAnotherMount(t *testing.T) {
	path := prepare(t, disk(t))
	filesystem.Mount(t, "tmpfs", filepath.Join(path, VolumesDir), "tmpfs", 0)
	_, err := Open(path)
	wantReason(t, state.NotReady, err)
}

func TestStillThere(t *testing.T) {
	at := t.TempDir()
	path := filepath.Join(at, "pool")
	mkdir(t, path)
	filesystem.Mount(t, "tmpfs", path, "tmpfs", 0)
	p := open(t, prepare(t, path))
	if err := p.StillThere(); err != nil {
		t.Fatal(err)
	}

	// The disk is unmounted: what was below the mount shows.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	err := p.StillThere()
	wantReason(t, state.NotReady, err)
	if !errors.Is(err, ErrNoMarker) {
		t.Errorf("an unmounted disk is told as %v", err)
	}

	// Another disk is mounted there, with a pool of its own.
	filesystem.Mount(t, "tmpfs", path, "tmpfs", 0)
	prepare(t, path)
	err = p.StillThere()
	wantReason(t, state.NotReady, err)
	if errors.Is(err, ErrNoMarker) {
		t.Errorf("a disk that was replaced is told as %v", err)
	}

	// The directory itself is gone.
	if err := errors.Join(unix.Unmount(path, 0), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	wantReason(t, state.NotReady, p.StillThere())
}

func TestCount(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	v := volume("a")
	build(t, p, v)
	root := filepath.Join(p.path, BuildDir, "a."+v.UID)
	for i := range 10 {
		dir := mkdir(t, root, strconv.Itoa(i))
		for j := range 10 {
			write(t, "", dir, strconv.Itoa(j))
		}
	}
	for limit, complete := range map[int64]bool{0: true, 1: false, 50: false, 110: false, 111: true, 1000: true} {
		c, err := p.Count(t.Context(), v, limit)
		if err != nil {
			t.Fatal(err)
		}
		if c.Complete != complete || complete && c.Inodes != 111 || !complete && (c.Inodes < limit || c.Inodes > limit+1) {
			t.Errorf("counting up to %d of 111 inodes: %+v", limit, c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Count(ctx, v, 0)
	wantReason(t, state.Canceled, err)

	// Deeper than is counted: no descriptor is left open, nothing hangs.
	b := volume("b")
	build(t, p, b)
	deep := filepath.Join(p.path, BuildDir, "b."+b.UID)
	for range 2 * maxCountDepth {
		deep = filepath.Join(deep, "d")
	}
	mkdir(t, deep)
	c, err := p.Count(t.Context(), b, 0)
	if err != nil || c.Inodes < maxCountDepth || c.Inodes > maxCountDepth+2 {
		t.Errorf("counting %d levels: %+v, %v", 2*maxCountDepth, c, err)
	}
}

// TestDescriptors looks whether anything is left open.
func TestDescriptors(t *testing.T) {
	path := prepare(t, disk(t))
	opened := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := opened()
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		v := volume("v" + strconv.Itoa(i))
		build(t, p, v)
		if _, err := p.Place(v); err != nil {
			t.Fatal(err)
		}
		f, err := p.Open(v)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		v.Status.Phase = state.Ready
		_, countErr := p.Count(t.Context(), v, 0)
		_, recordErr := p.ReadRecord("volumes/" + v.ID)
		_, contentsErr := p.Contents(t.Context())
		_, missingErr := p.ReadRecord("volumes/nosuch")
		if missingErr == nil {
			t.Error("a record of nothing was read")
		}
		err = errors.Join(countErr, recordErr, contentsErr, p.Relabel(v), p.StillThere(), p.Discard(v), p.Settle(t.Context()),
			p.Purge(t.Context(), v.ID+"."+v.UID, func(int) {}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for range 10 { // refusals, too
		_, _ = Open(t.TempDir())
		_, _ = ReadMarker(filepath.Join(path, "nosuch"))
	}
	if after := opened(); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

// TestBuildFails has the steps of a build fail that a backend adds.
func TestBuildFails(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	v := volume("a")
	mkdir := func(dirfd int, name string) error { return unix.Mkdirat(dirfd, name, 0o755) }
	for _, c := range []struct {
		err    error
		reason state.Reason
	}{
		{unix.ENOSPC, state.NoSpace}, {unix.EDQUOT, state.NoSpace}, {unix.EMLINK, state.NoSpace}, {unix.EROFS, state.NotReady},
		{unix.EIO, state.Defect}, {state.Errorf(state.Unsupported, "no"), state.Unsupported},
	} {
		wantReason(t, c.reason, p.Build(v, func(int, string) error { return c.err }, func(*os.File) error { return nil }))
		err := p.Build(v, mkdir, func(*os.File) error { return c.err })
		wantReason(t, c.reason, err)
		if !errors.Is(err, c.err) {
			t.Errorf("%v does not wrap %v", err, c.err)
		}
		if err := p.Discard(v); err != nil {
			t.Fatal(err)
		}
	}
	// The volume is another's to make once a failed attempt is out of the way.
	build(t, p, v)
}

func TestFilesystemsThatKeepTheOrder(t *testing.T) {
	for _, c := range []struct {
		kind string
		mkfs []string
		want bool
	}{
		{"ext4", nil, true},
		{"ext4", []string{"-O", "^has_journal"}, false},
		{"xfs", nil, true},
		{"btrfs", nil, false},
		{"tmpfs", nil, false},
	} {
		d, err := os.Open(filesystem.New(t, c.kind, 512<<20, filesystem.MkfsArgs(c.mkfs...)))
		if err != nil {
			t.Fatal(err)
		}
		if got := isInOrder(d); got != c.want {
			t.Errorf("%s %v: %v", c.kind, c.mkfs, got)
		}
		d.Close()
	}
}

// TestARecordThatDoesNotFitIsNotAFullDisk: ext4 says ENOSPC to both.
func TestARecordThatDoesNotFitIsNotAFullDisk(t *testing.T) {
	path := prepare(t, filepath.Join(filesystem.New(t, "ext4", 64<<20, filesystem.MkfsArgs("-b", "1024")), "pool"))
	p := open(t, path)
	mkdir := func(dirfd int, name string) error { return unix.Mkdirat(dirfd, name, 0o700) }
	v := volume("a")
	v.Spec.Claim = &state.Claim{Namespace: strings.Repeat("n", 253), Name: strings.Repeat("c", 253), PV: strings.Repeat("p", 253)}
	err := p.Build(v, mkdir, func(*os.File) error { return nil })
	wantReason(t, state.Unsupported, err)
	if !strings.Contains(err.Error(), "mkfs.ext4 -b 4096") {
		t.Errorf("no remedy: %v", err)
	}
}
