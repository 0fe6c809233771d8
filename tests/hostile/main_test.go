// Package hostile asks the real driver for what nobody in their right mind would ask
// for, over its socket, and looks whether it answers as the CSI spec says and leaves
// alone what is not its own.
package hostile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.RemoveBinaries()
	os.Exit(code)
}

const size = 1 << 20

// world is a driver with things around it that are not its own.
type world struct {
	*process.Driver
	base    string // holds the driver's directory, targets and the bystanders
	targets string
}

// start starts a driver. When the test ends, whatever is not the driver's must be as
// it was.
func start(t *testing.T, args ...string) *world {
	t.Helper()
	base := process.TempDir(t)
	w := &world{base: base, targets: filepath.Join(base, "t")}
	own := filepath.Join(base, "own")
	for _, dir := range []string{own, w.targets, filepath.Join(base, "bystander")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "bystander", "file"), []byte("untouched"), 0o640); err != nil {
		t.Fatal(err)
	}
	w.Driver = process.Start(t, process.Options{Dir: own, Metrics: true, Args: args})
	before := w.surroundings(t)
	t.Cleanup(func() {
		if after := w.surroundings(t); after != before {
			t.Errorf("around the driver there was\n%s\nand there is\n%s", before, after)
		}
	})
	return w
}

// surroundings lists everything around what the driver may change.
func (w *world) surroundings(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(w.base, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch path {
		case filepath.Join(w.PoolDir(), "volumes"), filepath.Join(w.PoolDir(), ".tmp"), filepath.Join(w.PoolDir(), ".trash"),
			w.StateDir(), w.targets:
			return filepath.SkipDir
		}
		fmt.Fprintln(&all, path, info.Mode(), info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/", "/etc", "/tmp"} {
		for name := range process.Names(t, dir) {
			if strings.Contains(name, "escape") {
				fmt.Fprintln(&all, dir, name)
			}
		}
	}
	return all.String()
}

// target returns a path for a publish.
func (w *world) target(name string) string { return filepath.Join(w.targets, name) }

// made returns the ID of a new volume.
func (w *world) made(t *testing.T, name string) string {
	t.Helper()
	id, err := w.Create(name, size)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// published returns the ID of a new volume and where it is published.
func (w *world) published(t *testing.T, name string) (id, target string) {
	t.Helper()
	id, target = w.made(t, name), w.target(name)
	must(t, w.Publish(id, target))
	return id, target
}

// gone deletes a volume and waits until nothing is left of it.
func (w *world) gone(t *testing.T, id string) {
	t.Helper()
	must(t, w.Delete(id))
	wantNothingAt(t, filepath.Join(w.PoolDir(), "volumes", id))
	const uid = 32 // digits
	process.Eventually(t, "nothing is left of the volume", func() error {
		for _, dir := range []string{".tmp", ".trash"} {
			for name := range process.Names(t, filepath.Join(w.PoolDir(), dir)) {
				if strings.HasPrefix(name, id+".") && len(name) == len(id)+1+uid {
					return fmt.Errorf("%s/%s is there", dir, name)
				}
			}
		}
		return nil
	})
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want returns whether an error has one of the codes; codes.OK is no error.
func want(t *testing.T, what string, err error, wanted ...codes.Code) bool {
	t.Helper()
	for _, c := range wanted {
		if status.Code(err) == c {
			return true
		}
	}
	t.Errorf("%s: wanted is %v, got: %v", what, wanted, err)
	return false
}

func wantWords(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: the error is to speak of %q, and is: %v", what, word, err)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

func wantContent(t *testing.T, path, content string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != content {
		t.Errorf("%s is to hold %q, and holds %q: %v", path, content, b, err)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if err := process.SameNames(t, dir); err != nil {
		t.Error(err)
	}
}

func wantNothingAt(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing is to be at %s: %v", path, err)
	}
}
