package pebble

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// image is a state directory with volumes in its tables and in its log. Tests work
// on copies of it.
type image struct {
	dir string
	ids []string
}

// newImage leaves the store closed, or as a kill would leave it.
func newImage(t *testing.T, killed bool) image {
	t.Helper()
	img := image{dir: filepath.Join(t.TempDir(), "state")}
	s := mustOpen(t, img.dir, Options{Create: true, fs: unsyncedFS()})
	for range 3 { // every start moves what is in the log into a table
		for range 5 {
			id := fmt.Sprintf("v-%02d", len(img.ids))
			mustStore(t, s, id)
			img.ids = append(img.ids, id)
		}
		if len(img.ids) == 15 {
			break
		}
		mustClose(t, s)
		s = mustOpen(t, img.dir, Options{fs: unsyncedFS()})
	}
	sentinel := readFile(t, filepath.Join(img.dir, sentinelFile))
	mustClose(t, s)
	if killed {
		// Nothing would have been written that Close writes.
		writeFile(t, filepath.Join(img.dir, sentinelFile), sentinel)
		log := filepath.Join(img.dir, img.files(t, "*.log")[0])
		content := readFile(t, log)
		writeFile(t, log, content[:len(content)-chunkWithLog])
	}
	return img
}

func (img image) copy(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(img.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns the paths of the database's files of one kind, relative to the image.
func (img image) files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(img.dir, databaseDir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	for i, path := range paths {
		paths[i], _ = filepath.Rel(img.dir, path)
	}
	return paths
}

// manifest returns the path of the manifest that is current.
func (img image) manifest(t *testing.T) string {
	t.Helper()
	database, err := pebbledb.Peek(filepath.Join(img.dir, databaseDir), unsyncedFS())
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(databaseDir, filepath.Base(database.ManifestFilename))
}

// list opens a store and returns the IDs of its volumes.
func list(t *testing.T, dir string) ([]string, error) {
	t.Helper()
	s, err := Open(dir, Options{Create: true, fs: unsyncedFS()})
	if err != nil {
		return nil, err
	}
	defer mustClose(t, s)
	volumes, _, err := s.Volumes().List(t.Context(), state.Page{})
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, v := range volumes {
		if v.Status.Phase == state.Ready {
			ids = append(ids, v.ID)
		}
	}
	return ids, nil
}

func wantDamage(t *testing.T, dir string) {
	t.Helper()
	ids, err := list(t, dir)
	if state.ReasonOf(err) != state.Corrupt {
		t.Errorf("got %d volumes, error %v; want reason %s", len(ids), err, state.Corrupt)
	} else if !strings.Contains(err.Error(), "`hostpath-csi recover`") {
		t.Errorf("the error does not say what mends it: %v", err)
	}
}

func TestAnImageIsWhole(t *testing.T) {
	for _, killed := range []bool{false, true} {
		img := newImage(t, killed)
		if got, err := list(t, img.copy(t)); err != nil || !slices.Equal(got, img.ids) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

func TestMissingPiecesAreNoticed(t *testing.T) {
	t.Run("closed", func(t *testing.T) { missingPieces(t, newImage(t, false)) })
	t.Run("killed", func(t *testing.T) { missingPieces(t, newImage(t, true)) })
}

func missingPieces(t *testing.T, img image) {
	for _, pattern := range []string{"*.sst", "*.log", "MANIFEST-*", "marker.manifest.*", "marker.*", "marker.format-version.*", "*"} {
		t.Run(pattern, func(t *testing.T) {
			dir := img.copy(t)
			for _, path := range img.files(t, pattern) {
				if err := os.Remove(filepath.Join(dir, path)); err != nil {
					t.Fatal(err)
				}
			}
			wantDamage(t, dir)
		})
	}
	for _, path := range img.files(t, "*.sst") {
		t.Run(path, func(t *testing.T) {
			dir := img.copy(t)
			if err := os.Remove(filepath.Join(dir, path)); err != nil {
				t.Fatal(err)
			}
			wantDamage(t, dir)
		})
	}
	t.Run("the whole database", func(t *testing.T) {
		dir := img.copy(t)
		if err := os.RemoveAll(filepath.Join(dir, databaseDir)); err != nil {
			t.Fatal(err)
		}
		wantDamage(t, dir)
		if entries, err := os.ReadDir(filepath.Join(dir, databaseDir)); err == nil {
			t.Errorf("a database appeared: %v", entries)
		}
	})
}

func TestADamagedSentinelIsNoticed(t *testing.T) {
	img := newImage(t, false)
	for _, content := range []string{"", "{}", "null", "garbage", `{"schema":1}`, `{"uuid":"another","schema":1}`, `{"uuid":"another","schema":0}`} {
		dir := img.copy(t)
		writeFile(t, filepath.Join(dir, sentinelFile), content)
		wantDamage(t, dir)
	}
}

func TestTheDatabaseOfAnotherStoreIsNoticed(t *testing.T) {
	dir, other := newImage(t, false).copy(t), newImage(t, false).copy(t)
	if err := os.RemoveAll(filepath.Join(dir, databaseDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(other, databaseDir), filepath.Join(dir, databaseDir)); err != nil {
		t.Fatal(err)
	}
	wantDamage(t, dir)
}

// Any byte of a store is either needed, and its change is noticed,
// or it is not, and everything is there.
func TestAFlippedBitIsNoticedOrHarmless(t *testing.T) {
	for _, killed := range []bool{false, true} {
		img := newImage(t, killed)
		tables := img.files(t, "*.sst")
		for _, path := range append(tables, img.files(t, "*.log")[0], img.manifest(t)) {
			t.Run(fmt.Sprintf("killed=%v/%s", killed, path), func(t *testing.T) {
				size := len(readFile(t, filepath.Join(img.dir, path)))
				noticed := 0
				for at := 0; at < size; at += stride(size) {
					dir := img.copy(t)
					flip(t, filepath.Join(dir, path), at)
					got, err := list(t, dir)
					os.RemoveAll(dir)
					switch {
					case state.ReasonOf(err) == state.Corrupt:
						noticed++
					case err != nil:
						t.Errorf("byte %d of %d: %v", at, size, err)
					case slices.Equal(got, img.ids):
					case killed && slices.Equal(got, img.ids[:len(img.ids)-1]) && isLast(t, img, path, at):
						// Nothing vouches for the last commit before a kill.
					default:
						t.Errorf("byte %d of %d: got %v", at, size, got)
					}
				}
				if noticed == 0 {
					t.Error("no flipped bit was noticed")
				}
			})
		}
	}
}

// stride makes a test of every byte one of some.
func stride(size int) int {
	if testing.Short() {
		return size/10 + 1
	}
	return size/60 + 1
}

// isLast tells whether a byte is in the part of the log that nothing vouches for.
func isLast(t *testing.T, img image, path string, at int) bool {
	t.Helper()
	return uint64(at) >= sealed(t, img, path)
}

// sealed returns how much of the log its seals vouch for.
func sealed(t *testing.T, img image, path string) uint64 {
	t.Helper()
	number, ok := logNumber(path)
	if !ok {
		return ^uint64(0)
	}
	var most uint64
	_, err := scanFile(filepath.Join(img.dir, path), unsyncedFS(), number, func(payload []byte) {
		if s, ok := sealOf(payload); ok && s.Log.File == number {
			most = max(most, s.Log.Size)
		}
	})
	if err != nil || most == 0 {
		t.Fatalf("%s is sealed up to byte %d, error %v", path, most, err)
	}
	return most
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	content := []byte(readFile(t, path))
	content[at] ^= 1 << (at % 8)
	writeFile(t, path, string(content))
}

func TestTruncationIsNoticed(t *testing.T) {
	img := newImage(t, false)
	for _, path := range append(img.files(t, "*.sst"), img.files(t, "*.log")[0], img.manifest(t)) {
		size := len(withoutRoom(readFile(t, filepath.Join(img.dir, path))))
		for _, keep := range []int{0, 1, size / 2, size * 3 / 4} {
			t.Run(fmt.Sprintf("%s to %d of %d", path, keep, size), func(t *testing.T) {
				dir := img.copy(t)
				if err := os.Truncate(filepath.Join(dir, path), int64(keep)); err != nil {
					t.Fatal(err)
				}
				wantDamage(t, dir)
			})
		}
	}
}

// withoutRoom cuts off the zeros that a log has for what is yet to be written.
func withoutRoom(content string) string { return strings.TrimRight(content, "\x00") }

// What a power cut does to the end of the log, behind what was answered, is normal.
func TestATornTailIsNoDamage(t *testing.T) {
	img := newImage(t, true)
	log := img.files(t, "*.log")[0]
	content := withoutRoom(readFile(t, filepath.Join(img.dir, log)))
	first := int(sealed(t, img, log))
	before := img.ids[:len(img.ids)-1]
	open := func(t *testing.T, tail string, want ...[]string) {
		t.Helper()
		dir := img.copy(t)
		writeFile(t, filepath.Join(dir, log), tail)
		got, err := list(t, dir)
		if err != nil || !slices.ContainsFunc(want, func(w []string) bool { return slices.Equal(got, w) }) {
			t.Errorf("got %v, %v", got, err)
		}
		os.RemoveAll(dir)
	}
	for keep := first; keep < len(content); keep += stride(len(content) - first) {
		open(t, content[:keep], before, img.ids)                                           // a short file
		open(t, content[:keep]+strings.Repeat("\x00", len(content)-keep), before, img.ids) // a file whose end was not written
	}
	for _, garbage := range []string{"\x00", strings.Repeat("\x00", 1<<16), "garbage", content[:first]} {
		open(t, content+garbage, img.ids)
	}
}

func TestARecordThatIsNotWhatWasStoredSaysSo(t *testing.T) {
	s := openNew(t)
	mustStore(t, s, "a")
	mustStore(t, s, "b")
	value, closer, err := s.db.Get([]byte("v/a"))
	if err != nil {
		t.Fatal(err)
	}
	good := string(value)
	closer.Close()
	for name, bad := range map[string]struct{ key, value string }{
		"empty":             {"v/a", ""},
		"short":             {"v/a", good[:3]},
		"another version":   {"v/a", "\x02" + good[1:]},
		"a flipped bit":     {"v/a", good[:20] + "~" + good[21:]},
		"truncated":         {"v/a", good[:len(good)-1]},
		"under another key": {"v/b", good},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.db.Set([]byte(bad.key), []byte(bad.value), pebbledb.NoSync); err != nil {
				t.Fatal(err)
			}
			id := strings.TrimPrefix(bad.key, "v/")
			_, err := s.Volumes().Get(t.Context(), id)
			wantReason(t, state.Corrupt, err)
			if !strings.Contains(err.Error(), fmt.Sprintf("volume %q", id)) {
				t.Errorf("it does not say which: %v", err)
			}
			_, _, err = s.Volumes().List(t.Context(), state.Page{})
			wantReason(t, state.Corrupt, err)
			_, err = s.Volumes().Create(t.Context(), id, state.VolumeSpec{})
			wantReason(t, state.Corrupt, err)
		})
	}
}
