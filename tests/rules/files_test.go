package rules

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheRepositoryHoldsText keeps programs out that `go build` left where it was called:
// once committed they are in every clone for ever. bin/ and out/ are for them.
func TestTheRepositoryHoldsText(t *testing.T) {
	found, err := notText("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		t.Errorf("%s is not text: remove it, or build into bin/", path)
	}
}

func TestAProgramIsNotText(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a.go": "package a\n", "cmd/a": "\x7fELF\x02\x01\x01\x00", "bin/a": "\x00", "empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := notText(dir)
	if err != nil || !slices.Equal(found, []string{"cmd/a"}) {
		t.Errorf("found %q, %v", found, err)
	}
}

// notText names the files below root with a NUL in their first 8 KiB, which is how git
// tells, but for what git ignores.
func notText(root string) (found []string, err error) {
	err = fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "out"}, path) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(path, ".test") || strings.HasSuffix(path, ".prof") {
			return nil
		}
		f, err := os.Open(filepath.Join(root, path))
		if err != nil {
			return err
		}
		defer f.Close()
		head := make([]byte, 8<<10)
		n, err := io.ReadFull(f, head)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if bytes.IndexByte(head[:n], 0) >= 0 {
			found = append(found, path)
		}
		return nil
	})
	return found, err
}
