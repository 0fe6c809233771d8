package driver

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestAStaleSocketIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "csi.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false) // as if the process had been killed
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Listen("unix://" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", st.Mode(), err)
	}
}

func TestASocketThatIsServedIsNotTaken(t *testing.T) {
	endpoint := "unix://" + filepath.Join(t.TempDir(), "csi.sock")
	first, err := Listen(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := Listen(endpoint); state.ReasonOf(err) != state.InUse {
		t.Errorf("%v", err)
	}
}

func TestAFileInTheSocketsPlaceStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "csi.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix://" + path); state.ReasonOf(err) != state.Invalid {
		t.Errorf("%v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file holds %q", b)
	}
}

func TestEndpoints(t *testing.T) {
	for _, bad := range []string{"", "csi.sock", "/run/csi.sock", "unix://csi.sock", "tcp://127.0.0.1:1", "unix:///" + strings.Repeat("x", 200)} {
		if l, err := Listen(bad); err == nil {
			l.Close()
			t.Errorf("%q is taken", bad)
		} else if state.ReasonOf(err) != state.Invalid || !strings.Contains(err.Error(), "endpoint") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
