package pebble

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestANewStoreIsForItsOwnerOnly(t *testing.T) {
	s := openNew(t)
	for _, path := range []string{s.dir, filepath.Join(s.dir, databaseDir)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	other := openNew(t)
	if s.UUID() == other.UUID() || len(s.UUID()) != 36 {
		t.Errorf("two new stores have the UUIDs %s and %s", s.UUID(), other.UUID())
	}
}

func TestAStoreIsCreatedOnlyWhenAskedFor(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "state")
	_, err := Open(missing, Options{})
	wantReason(t, state.NotFound, err)
	if _, err := os.Stat(missing); err == nil {
		t.Error("the directory was made")
	}
	_, err = Open(t.TempDir(), Options{})
	wantReason(t, state.NotFound, err)
}

func TestANewerStoreIsLeftAlone(t *testing.T) {
	s := openNew(t)
	mustStore(t, s, "a")
	mustClose(t, s)
	writeFile(t, filepath.Join(s.dir, sentinelFile), `{"uuid":"`+s.uuid+`","schema":2,"more":true}`)
	before := snapshot(t, s.dir)
	_, err := Open(s.dir, Options{Create: true})
	wantReason(t, state.Unsupported, err)
	if after := snapshot(t, s.dir); before != after {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	s := openNew(t)
	if err := s.db.Set([]byte(schemaKey), []byte("2"), pebbledb.Sync); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	_, err := Open(s.dir, Options{Create: true})
	wantReason(t, state.Unsupported, err)
}

func TestACreationThatWasCutShortBeforeTheDatabaseWasWholeBeginsAgain(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, newDatabaseDir), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, newDatabaseDir, "000002.log"), "half of something")
	writeFile(t, filepath.Join(dir, lockFile), "1\n")
	mustOpen(t, dir, Options{Create: true})
	if _, err := os.Stat(filepath.Join(dir, newDatabaseDir)); err == nil {
		t.Error("the first attempt is still there")
	}
}

func TestACreationThatWasCutShortBeforeTheSentinelGoesOn(t *testing.T) {
	s := openNew(t)
	want := mustStore(t, s, "a")
	mustClose(t, s)
	if err := os.Remove(filepath.Join(s.dir, sentinelFile)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(s.dir, sentinelFile+".tmp"), `{"uu`)
	for range 2 {
		again := mustOpen(t, s.dir, Options{Create: true})
		if again.UUID() != s.UUID() {
			t.Errorf("the UUID was %s and is %s", s.UUID(), again.UUID())
		}
		if got, err := again.Volumes().Get(t.Context(), "a"); err != nil || got.UID != want.UID {
			t.Errorf("got %+v, %v", got, err)
		}
		mustClose(t, again)
	}
}

func TestADatabaseThatNamesNoStoreIsDamage(t *testing.T) {
	s := openNew(t)
	mustStore(t, s, "a")
	if err := s.db.Delete([]byte(uuidKey), pebbledb.Sync); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	_, err := Open(s.dir, Options{Create: true})
	wantReason(t, state.Corrupt, err)

	if err := os.Remove(filepath.Join(s.dir, sentinelFile)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(s.dir, Options{Create: true})
	wantReason(t, state.Corrupt, err)
}

func TestWhatTheDiskDoesNotAllowIsNotDamage(t *testing.T) {
	s := openNew(t)
	mustClose(t, s)
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EROFS, unix.EACCES} {
		_, err := Open(s.dir, Options{fs: &hookedFS{FS: vfs.Default, onCreate: func(name string) error {
			if _, isLog := logNumber(name); isLog {
				return &fs.PathError{Op: "create", Path: name, Err: errno}
			}
			return nil
		}}})
		wantReason(t, state.Unavailable, err)
	}
	for _, bad := range []disk{{available: openReserve - 1}, {available: 1 << 40, readOnly: true}} {
		_, err := Open(s.dir, Options{disk: func(string) (disk, error) { return bad, nil }})
		wantReason(t, state.Unavailable, err)
	}
	mustOpen(t, s.dir, Options{})
}

// snapshot describes every file below dir, but for the lock.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() == lockFile {
			return err
		}
		content, err := os.ReadFile(path)
		lines = append(lines, path+" "+string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
