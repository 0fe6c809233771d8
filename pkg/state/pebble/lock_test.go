package pebble

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestOneProcessAtATimeHasTheStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	child, out := startChild(t, "hold", dir)
	if !out.Scan() {
		t.Fatal("the child did not open the store")
	}
	_, err := Open(dir, Options{Create: true})
	wantReason(t, state.InUse, err)
	want := fmt.Sprintf("state directory %s is in use by process %d: stop it or choose another --state-dir", dir, child.Process.Pid)
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want %q in it", err, want)
	}

	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()                // it was killed: an error
	mustOpen(t, dir, Options{}) // in spite of the pid that it left
	if pid := readFile(t, filepath.Join(dir, lockFile)); pid != fmt.Sprintln(os.Getpid()) {
		t.Errorf("the lock file says %q", pid)
	}
}

func TestTheStoreIsLockedWithinTheProcessToo(t *testing.T) {
	s := openNew(t)
	_, err := Open(s.dir, Options{})
	wantReason(t, state.InUse, err)
	mustClose(t, s)
	mustOpen(t, s.dir, Options{})
}

func TestAPidThatIsNoneIsTold(t *testing.T) {
	s := openNew(t)
	for _, content := range []string{"", "garbage", "-", strings.Repeat("1", 100)} {
		writeFile(t, filepath.Join(s.dir, lockFile), content)
		_, err := Open(s.dir, Options{})
		wantReason(t, state.InUse, err)
		if !strings.Contains(err.Error(), "process (unknown)") {
			t.Errorf("with %q in the lock file: %v", content, err)
		}
	}
}

func wantReason(t *testing.T, want state.Reason, err error) {
	t.Helper()
	if got := state.ReasonOf(err); got != want {
		t.Fatalf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
