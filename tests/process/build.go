package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var (
	buildMu sync.Mutex
	built   = map[string]string{}
	builtIn string
)

// Binary builds cmd/hostpath-csi with the given build tags, once for a test
// program, and returns its path. The go command's cache makes that quick. Where there
// is none (tests/vm), the variable HOSTPATH_CSI_TEST_BINARY names a binary without tags.
// RemoveBinaries, called by TestMain, removes what was built.
func Binary(t testing.TB, tags string) string {
	t.Helper()
	buildMu.Lock()
	defer buildMu.Unlock()
	if path := os.Getenv("HOSTPATH_CSI_TEST_BINARY"); path != "" && tags == "" {
		return path
	}
	if path, ok := built[tags]; ok {
		return path
	}
	if builtIn == "" {
		dir, err := os.MkdirTemp("", "hostpath-csi-bin")
		if err != nil {
			t.Fatal(err)
		}
		builtIn = dir
	}
	path := filepath.Join(builtIn, "hostpath-csi"+tags)
	args := []string{"build", "-o", path}
	if tags != "" {
		args = append(args, "-tags", tags)
	}
	cmd := exec.Command("go", append(args, "github.com/hostpath-csi/hostpath-csi/cmd/hostpath-csi")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the driver: %v\n%s", err, out)
	}
	built[tags] = path
	return path
}

// RemoveBinaries removes what Binary built.
func RemoveBinaries() {
	buildMu.Lock()
	defer buildMu.Unlock()
	_ = os.RemoveAll(builtIn)
}
