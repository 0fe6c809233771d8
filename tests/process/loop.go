package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// LoopDevicesOf tells which loop devices have a file beneath dir, as "loop3 has FILE".
func LoopDevicesOf(t testing.TB, dir string) (all []string) {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), dir+"/") {
			all = append(all, filepath.Base(filepath.Dir(filepath.Dir(f)))+" has "+strings.TrimSpace(string(b)))
		}
	}
	return all
}
