package pool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// kept is a volume that was placed and is recorded as Ready.
func kept(id string, onDelete state.OnDelete) state.Volume {
	v := volume(id)
	v.Spec.OnDelete, v.Status.Phase = onDelete, state.Ready
	return v
}

// deleted makes a volume with a file in it and discards it; it returns its entry in the
// trash.
func deleted(t testing.TB, p *Pool, v state.Volume) string {
	t.Helper()
	build(t, p, v)
	if _, err := p.Place(v); err != nil {
		t.Fatal(err)
	}
	write(t, "data of "+v.ID, p.Path(), VolumesDir, v.ID, "file")
	if err := p.Discard(v); err != nil {
		t.Fatal(err)
	}
	return backend.PassingName(v)
}

func wantFate(t testing.TB, p *Pool, entry string, want state.OnDelete) {
	t.Helper()
	f, err := p.Fate(entry)
	if err != nil || f.OnDelete != want {
		t.Errorf("the fate of %s is %+v, %v; want %q", entry, f, err, want)
	}
}

func TestADeletedVolumeIsArchivedUnderAReadableName(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	v := kept("pvc-1", state.OnDeleteArchive)
	v.Spec.Claim = &state.Claim{Namespace: "shop", Name: "data-db-0"}
	entry := deleted(t, p, v)
	wantFate(t, p, entry, state.OnDeleteArchive)
	name, err := p.Archive(entry)
	if want := "shop_data-db-0." + time.Now().UTC().Format("2006-01-02") + ".00000000"; err != nil || name != want {
		t.Fatalf("it is archived as %q, %v; want %q", name, err, want)
	}
	all, err := p.Archived()
	if err != nil || len(all) != 1 || all[0].Name != name || all[0].Volume == nil || all[0].Volume.ID != "pvc-1" || time.Since(all[0].DeletedAt) > time.Minute {
		t.Fatalf("the archive holds %+v, %v", all, err)
	}
	if st, err := os.Stat(filepath.Join(p.Path(), ArchiveDir)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the archive is %v, %v", st, err)
	}
}

func TestTwoVolumesOfOneNameAreBothKept(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	var names []string
	for _, id := range []string{"a", "b"} { // UIDs that begin alike
		v := kept(id, state.OnDeleteArchive)
		v.Spec.Claim = &state.Claim{Namespace: "team", Name: "data"}
		name, err := p.Archive(deleted(t, p, v))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	all, err := p.Archived()
	if err != nil || len(all) != 2 || names[0] == names[1] {
		t.Errorf("archived as %q, there are %+v, %v", names, all, err)
	}
}

func TestAnArchivedVolumeThatExpiresIsRemoved(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	name, err := p.Archive(deleted(t, p, kept("a", state.OnDeleteArchive)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Expire(name, nil); err != nil {
		t.Fatal(err)
	}
	trash, err := p.Trash(t.Context())
	if err != nil || !slices.Equal(trash, []string{name}) {
		t.Fatalf("the trash holds %q, %v", trash, err)
	}
	wantFate(t, p, name, "") // else it would be archived for ever
	if err := p.Purge(t.Context(), name, func(int) {}); err != nil {
		t.Error(err)
	}
}

func TestWhatNobodyWasToldOfIsNotArchived(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	v := kept("a", state.OnDeleteArchive)
	v.Status.Phase = state.Pending
	build(t, p, v)
	if err := p.Discard(v); err != nil {
		t.Fatal(err)
	}
	wantFate(t, p, backend.PassingName(v), "")
}

func TestTheFateOfAnotherLifeIsNotThisOnes(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	entry := deleted(t, p, kept("a", state.OnDeleteArchive))
	// As a snapshot of a subvolume does, which takes all attributes along.
	other := "b." + strings.Repeat("2", 32)
	if err := os.Rename(filepath.Join(p.Path(), TrashDir, entry), filepath.Join(p.Path(), TrashDir, other)); err != nil {
		t.Fatal(err)
	}
	wantFate(t, p, other, "")
	if err := os.Rename(filepath.Join(p.Path(), TrashDir, other), filepath.Join(p.Path(), TrashDir, entry+".again1")); err != nil {
		t.Fatal(err)
	}
	wantFate(t, p, entry+".again1", state.OnDeleteArchive)
}

func TestAFateThatCannotBeReadIsAnError(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	entry := deleted(t, p, kept("a", state.OnDeleteArchive))
	if err := unix.Setxattr(filepath.Join(p.Path(), TrashDir, entry), fateXattr, []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	if f, err := p.Fate(entry); err == nil {
		t.Errorf("it is %+v: what was to be kept would be removed", f)
	}
}

func TestAVolumeThatItsPodMadeImmutableIsArchived(t *testing.T) {
	p := open(t, prepare(t, filepath.Join(filesystem.New(t, "ext4", 64<<20), "pool")))
	v := kept("a", state.OnDeleteArchive)
	build(t, p, v)
	if _, err := p.Place(v); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(p.Path(), "volumes/a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0x10), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.Discard(v); err != nil {
		t.Fatal(err)
	}
	wantFate(t, p, backend.PassingName(v), state.OnDeleteArchive)
}

func TestScrubbedContentsAreGoneFromTheDisk(t *testing.T) {
	for _, kind := range []string{"ext4", "xfs"} {
		t.Run(kind, func(t *testing.T) {
			at := filesystem.New(t, kind, 512<<20)
			image := filepath.Join(filepath.Dir(at), "image")
			p := open(t, prepare(t, filepath.Join(at, "pool")))
			v := kept("a", state.OnDeleteScrub)
			build(t, p, v)
			if _, err := p.Place(v); err != nil {
				t.Fatal(err)
			}
			secret := strings.Repeat("the secret of this volume, again and again. ", 4000)
			dir := filepath.Join(p.Path(), "volumes/a")
			outside := filepath.Join(at, "outside")
			write(t, "of somebody else", outside)
			mkdir(t, dir, "deep/er")
			write(t, secret, dir, "file")
			write(t, secret, dir, "deep/er/file")
			if err := errors.Join(os.Symlink(outside, filepath.Join(dir, "link")), unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
				t.Fatal(err)
			}
			sparse, err := os.Create(filepath.Join(dir, "sparse"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sparse.WriteAt([]byte(secret), 1<<30); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(sparse.Sync(), sparse.Close()); err != nil {
				t.Fatal(err)
			}
			unix.Sync()
			if !onDisk(t, image, secret[:40]) {
				t.Fatal("the secret is not seen on the disk before")
			}
			if err := p.Discard(v); err != nil {
				t.Fatal(err)
			}
			entry := backend.PassingName(v)
			wantFate(t, p, entry, state.OnDeleteScrub)
			before, files := blocks(t, filepath.Join(p.Path(), TrashDir, entry, "sparse")), 0
			if err := p.Scrub(t.Context(), entry, func(n int) { files += n }); err != nil || files != 3 {
				t.Fatalf("%d files were overwritten, %v", files, err)
			}
			unix.Sync()
			if onDisk(t, image, secret[:40]) {
				t.Error("the secret is still on the disk")
			}
			if after := blocks(t, filepath.Join(p.Path(), TrashDir, entry, "sparse")); after > before+64 {
				t.Errorf("a sparse file had %d blocks, and has %d", before, after)
			}
			if b, err := os.ReadFile(outside); err != nil || string(b) != "of somebody else" {
				t.Errorf("beyond a symbolic link: %q, %v", b, err)
			}
		})
	}
}

func TestScrubEndsWithItsContext(t *testing.T) {
	p := open(t, prepare(t, disk(t)))
	entry := deleted(t, p, kept("a", state.OnDeleteScrub))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Scrub(ctx, entry, func(int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func FuzzArchiveNames(f *testing.F) {
	f.Add("shop_data-db-0")
	f.Add("../../etc")
	f.Add("-rf\x00\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := plainName(s)
		if got == "" || len(got) > 200 || got[0] == '-' || strings.Trim(got, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Errorf("%q is archived as %q", s, got)
		}
	})
}

// onDisk tells whether a filesystem's image holds something.
func onDisk(t testing.TB, image, what string) bool {
	t.Helper()
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(b, []byte(what))
}

func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks
}
