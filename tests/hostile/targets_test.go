package hostile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// TestATargetThatIsSomethingElseIsRefusedAndUntouched publishes where something is.
func TestATargetThatIsSomethingElseIsRefusedAndUntouched(t *testing.T) {
	w := start(t)
	id := w.made(t, "volume")
	secret := w.target("secret")
	must(t, os.Mkdir(secret, 0o700))
	write(t, filepath.Join(secret, "file"), "secret")
	for name, c := range map[string]struct {
		make   func(at string) error
		beyond string // the target, beyond what is made
		code   codes.Code
	}{
		"a link to a directory":   {make: func(at string) error { return os.Symlink(secret, at) }, code: codes.InvalidArgument},
		"a link that dangles":     {make: func(at string) error { return os.Symlink(w.target("nowhere"), at) }, code: codes.InvalidArgument},
		"a link to the root":      {make: func(at string) error { return os.Symlink("/", at) }, code: codes.InvalidArgument},
		"a file":                  {make: func(at string) error { return os.WriteFile(at, []byte("precious"), 0o600) }, code: codes.InvalidArgument},
		"a pipe":                  {make: func(at string) error { return unix.Mkfifo(at, 0o600) }, code: codes.InvalidArgument},
		"a device":                {make: func(at string) error { return unix.Mknod(at, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) }, code: codes.InvalidArgument},
		"a full directory":        {make: full, code: codes.FailedPrecondition},
		"a parent that links":     {make: func(at string) error { return os.Symlink(secret, at) }, beyond: "/target", code: codes.InvalidArgument},
		"a parent that dangles":   {make: func(at string) error { return os.Symlink(w.target("nowhere"), at) }, beyond: "/target", code: codes.InvalidArgument},
		"a parent that is a file": {make: func(at string) error { return os.WriteFile(at, []byte("precious"), 0o600) }, beyond: "/target", code: codes.InvalidArgument},
		"a distant parent":        {make: func(at string) error { return os.Symlink(secret, at) }, beyond: "/a/b/c", code: codes.InvalidArgument},
	} {
		at := w.target(name)
		must(t, c.make(at))
		before := listing(t, w.targets)
		err := w.Publish(id, at+c.beyond)
		want(t, "publish at "+name, err, c.code)
		wantWords(t, "publish at "+name, err, "target_path")
		if err := w.Unpublish(id, at+c.beyond); err != nil {
			want(t, "unpublish from "+name, err, codes.InvalidArgument, codes.FailedPrecondition)
		}
		if after := listing(t, w.targets); after != before {
			t.Errorf("%s: there was\n%s\nand there is\n%s", name, before, after)
		}
	}
	for name, path := range map[string]string{
		"the root": "/", "the pool": w.PoolDir(), "a volume": filepath.Join(w.PoolDir(), "volumes", id),
		"in a volume": filepath.Join(w.PoolDir(), "volumes", id, "target"), "in the trash": filepath.Join(w.PoolDir(), ".trash", "target"),
		"empty": "",
	} {
		want(t, "publish at "+name, w.Publish(id, path), codes.InvalidArgument)
	}
	if mounts := process.MountsBeneath(t, w.base); len(mounts) > 0 {
		t.Errorf("there are mounts at %v", mounts)
	}
	wantContent(t, filepath.Join(secret, "file"), "secret")
	w.gone(t, id)
}

func full(at string) error {
	return errors.Join(os.Mkdir(at, 0o755), os.WriteFile(filepath.Join(at, "file"), []byte("precious"), 0o600))
}

func listing(t *testing.T, dir string) (all string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		all += fmt.Sprintln(path, info.Mode(), info.Size(), info.ModTime())
		return err
	}))
	return all
}

// TestAForeignMountAtATargetStays publishes and unpublishes where something else is
// mounted.
func TestAForeignMountAtATargetStays(t *testing.T) {
	w := start(t)
	id, at := w.made(t, "volume"), w.target("foreign")
	must(t, os.Mkdir(at, 0o755))
	must(t, unix.Mount("tmpfs", at, "tmpfs", 0, "size=1m"))
	write(t, filepath.Join(at, "file"), "somebody's")
	want(t, "publish at a foreign mount", w.Publish(id, at), codes.FailedPrecondition)
	want(t, "unpublish from a foreign mount", w.Unpublish(id, at), codes.OK)
	wantContent(t, filepath.Join(at, "file"), "somebody's")
	other, target := w.published(t, "other")
	want(t, "publish at another volume's target", w.Publish(id, target), codes.FailedPrecondition)
	want(t, "unpublish from another volume's target", w.Unpublish(id, target), codes.OK)
	if mounts := process.MountsBeneath(t, w.targets); !slices.Equal(mounts, []string{target, at}) {
		t.Errorf("mounts are to be as they were, and are %v", mounts)
	}
	must(t, w.Unpublish(other, target))
}

// TestAStormOfPublishesStacksNoMounts publishes and unpublishes two volumes at the
// same targets from many callers at once.
func TestAStormOfPublishesStacksNoMounts(t *testing.T) {
	w := start(t)
	ids := []string{w.made(t, "one"), w.made(t, "two")}
	targets := []string{w.target("a"), w.target("b"), w.target("c")}
	var all sync.WaitGroup
	for caller := range 16 {
		all.Go(func() {
			for i := range 60 {
				id, target := ids[(caller+i/7)%2], targets[(caller+i)%3]
				err := w.Publish(id, target)
				if (caller+i)%2 == 0 {
					err = w.Unpublish(id, target)
				}
				switch status.Code(err) {
				case codes.OK, codes.Aborted, codes.FailedPrecondition:
				default:
					t.Errorf("publish or unpublish: %v", err)
				}
			}
		})
	}
	all.Wait()
	mounts := process.MountsBeneath(t, w.targets)
	if slices.Sort(mounts); len(slices.Compact(slices.Clone(mounts))) != len(mounts) {
		t.Errorf("mounts are stacked: %v", mounts)
	}
	for _, id := range ids {
		for _, target := range targets {
			must(t, w.Unpublish(id, target))
		}
	}
	if mounts := process.MountsBeneath(t, w.targets); len(mounts) > 0 {
		t.Errorf("mounts are left: %v", mounts)
	}
	wantEmpty(t, w.targets)
	for _, id := range ids {
		w.gone(t, id)
	}
}

// TestAccessModesAreKept publishes in every mode that there is.
func TestAccessModesAreKept(t *testing.T) {
	w := start(t)
	publish := func(id, target string, mode process.Mode) error {
		_, err := w.NodePublishVolume(ctx(t), process.PublishRequest(id, w.target(target), mode))
		return err
	}
	const (
		single = csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER
		multi  = csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER
		reader = csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY
	)
	id := w.made(t, "single")
	must(t, publish(id, "s1", single))
	must(t, publish(id, "s1", single))
	want(t, "a single writer's second target", publish(id, "s2", single), codes.FailedPrecondition)
	want(t, "another's target beside a single writer", publish(id, "s2", multi), codes.FailedPrecondition)
	wantNothingAt(t, w.target("s2"))
	must(t, w.Unpublish(id, w.target("s1")))
	must(t, publish(id, "s2", single))
	must(t, w.Unpublish(id, w.target("s2")))

	id = w.made(t, "multi")
	for _, target := range []string{"m1", "m2", "m3"} {
		must(t, publish(id, target, multi))
	}
	write(t, filepath.Join(w.target("m1"), "file"), "shared")
	wantContent(t, filepath.Join(w.target("m3"), "file"), "shared")
	must(t, publish(id, "m4", reader))
	wantContent(t, filepath.Join(w.target("m4"), "file"), "shared")
	if err := os.WriteFile(filepath.Join(w.target("m4"), "file"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("a reader may write: %v", err)
	}
	for _, target := range []string{"m1", "m2", "m3", "m4"} {
		must(t, w.Unpublish(id, w.target(target)))
	}

	for number, name := range csi.VolumeCapability_AccessMode_Mode_name {
		mode := process.Mode(number)
		request := process.CreateRequest("mode", size)
		request.VolumeCapabilities = append(request.VolumeCapabilities, process.Capability(mode))
		_, createErr := w.CreateVolume(ctx(t), request)
		publishErr := publish(id, "any", mode)
		switch mode {
		case process.SingleWriter, single, multi, reader:
			must(t, createErr)
			must(t, publishErr)
			must(t, w.Unpublish(id, w.target("any")))
			w.gone(t, "mode")
		case csi.VolumeCapability_AccessMode_UNKNOWN:
			want(t, "CreateVolume with "+name, createErr, codes.InvalidArgument)
			want(t, "publish with "+name, publishErr, codes.InvalidArgument)
		default:
			want(t, "CreateVolume with "+name, createErr, codes.InvalidArgument)
			want(t, "publish with "+name, publishErr, codes.FailedPrecondition)
			wantWords(t, "publish with "+name, publishErr, name, "one node")
		}
	}
	wantEmpty(t, w.targets)
}

// TestReadonlyAndMountFlagsAreInForce asks the kernel, not the list of mounts.
func TestReadonlyAndMountFlagsAreInForce(t *testing.T) {
	w := start(t)
	id := w.made(t, "volume")
	inside := filepath.Join(w.PoolDir(), "volumes", id)
	write(t, filepath.Join(inside, "script"), "#!/bin/sh\n")
	must(t, os.Chmod(filepath.Join(inside, "script"), 0o4755))
	must(t, unix.Mknod(filepath.Join(inside, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, os.Symlink("script", filepath.Join(inside, "link")))

	request := process.PublishRequest(id, w.target("readonly"), process.SingleWriter)
	request.Readonly = true
	_, err := w.NodePublishVolume(ctx(t), request)
	must(t, err)
	for what, err := range map[string]error{
		"writing":  os.WriteFile(filepath.Join(request.GetTargetPath(), "new"), nil, 0o644),
		"mkdir":    os.Mkdir(filepath.Join(request.GetTargetPath(), "dir"), 0o755),
		"removing": os.Remove(filepath.Join(request.GetTargetPath(), "script")),
		"chmod":    os.Chmod(filepath.Join(request.GetTargetPath(), "script"), 0o600),
	} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s a readonly volume: wanted is EROFS, got %v", what, err)
		}
	}
	want(t, "publishing it writable as well, at the same target", w.Publish(id, request.GetTargetPath()), codes.AlreadyExists)
	must(t, w.Unpublish(id, request.GetTargetPath()))

	flagged := func(flags ...string) string {
		target := w.target("flagged")
		_, err := w.NodePublishVolume(ctx(t), process.PublishRequest(id, target, process.SingleWriter, flags...))
		must(t, err)
		_, err = w.NodePublishVolume(ctx(t), process.PublishRequest(id, target, process.SingleWriter, flags...))
		must(t, err)
		t.Cleanup(func() { _ = w.Unpublish(id, target) })
		return target
	}
	has := func(target string, bit int64) bool {
		var st unix.Statfs_t
		must(t, unix.Statfs(target, &st))
		return int64(st.Flags)&bit != 0
	}
	open := func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			_ = f.Close()
		}
		return err
	}
	for flag, refused := range map[string]func(target string) bool{
		"noexec": func(at string) bool {
			return errors.Is(unix.Access(filepath.Join(at, "script"), unix.X_OK), unix.EACCES)
		},
		"nodev":       func(at string) bool { return errors.Is(open(filepath.Join(at, "null")), unix.EACCES) },
		"nosuid":      func(at string) bool { return has(at, unix.ST_NOSUID) },
		"noatime":     func(at string) bool { return has(at, unix.ST_NOATIME) },
		"nosymfollow": func(at string) bool { return errors.Is(open(filepath.Join(at, "link")), unix.ELOOP) },
		"ro":          func(at string) bool { return errors.Is(open(filepath.Join(at, "script")), unix.EROFS) },
	} {
		target := flagged(flag)
		if !refused(target) {
			t.Errorf("the flag %s is not in force", flag)
		}
		must(t, w.Unpublish(id, target))
		if target = flagged(); refused(target) {
			t.Errorf("the flag %s is in force where it was not asked for", flag)
		}
		must(t, w.Unpublish(id, target))
	}
	for _, flags := range [][]string{{"banana"}, {"loop"}, {"remount"}, {"ro,banana"}, {"noexec", "exec"}, {"../escape"}, {"\x00"}, {""}} {
		_, err := w.NodePublishVolume(ctx(t), process.PublishRequest(id, w.target("refused"), process.SingleWriter, flags...))
		want(t, fmt.Sprintf("mount_flags %q", flags), err, codes.InvalidArgument)
		wantWords(t, fmt.Sprintf("mount_flags %q", flags), err, "mount_flags")
		if len(flags[0]) > 3 && flags[0] != "ro,banana" && flags[0] != "../escape" {
			wantWords(t, fmt.Sprintf("mount_flags %q", flags), err, flags[0])
		}
		wantNothingAt(t, w.target("refused"))
		create := process.CreateRequest("refused", size)
		create.VolumeCapabilities = []*csi.VolumeCapability{process.Capability(process.SingleWriter, flags...)}
		_, err = w.CreateVolume(ctx(t), create)
		want(t, fmt.Sprintf("CreateVolume with mount_flags %q", flags), err, codes.InvalidArgument)
	}
}
