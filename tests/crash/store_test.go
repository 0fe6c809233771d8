package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// populated returns a world with volumes and data, whose driver was ended.
func populated(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.start(t)
	for i := range 5 {
		w.must(t, w.volume(fmt.Sprint("volume-", i)), "create", "publish", "write", "expand", "unpublish")
	}
	if err := w.d.Terminate(); err != nil {
		t.Fatal(err)
	}
	return w
}

// refused starts the driver, which has to end by itself, and returns what it said.
func (w *world) refused(t *testing.T) string {
	t.Helper()
	d := process.Launch(t, process.Options{Dir: w.dir, Pool: w.pool})
	select {
	case <-d.Exited():
	case <-time.After(20 * time.Second):
		t.Fatalf("the driver does not refuse to start:\n%s", d.Log())
	}
	var exit *exec.ExitError
	if !errors.As(d.Err(), &exit) || exit.ExitCode() != 1 {
		t.Fatalf("the driver ended with %v, and is to end with status 1:\n%s", d.Err(), d.Log())
	}
	return d.Log()
}

func mustSay(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("it is to speak of %q, and says:\n%s", word, said)
		}
	}
}

// TestALostStoreIsNotStartedEmpty removes the state while the pool has volumes.
func TestALostStoreIsNotStartedEmpty(t *testing.T) {
	t.Parallel()
	w := populated(t)
	stateDir := filepath.Join(w.dir, "state")
	aside := stateDir + ".aside"
	if err := os.Rename(stateDir, aside); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first refusal leaves nothing that the second would take for a store
		mustSay(t, w.refused(t), "recover", "default", filepath.Join(w.dir, "pool"))
	}
	if err := os.RemoveAll(stateDir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, stateDir); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	w.check(t)
}

// damages are done to one file of the store.
var damages = map[string]func(path string) error{
	"removed": os.Remove,
	"emptied": func(path string) error { return os.Truncate(path, 0) },
	"halved":  func(path string) error { return rewrite(path, func(b []byte) []byte { return b[:len(b)/2] }) },
	"garbage": func(path string) error {
		return rewrite(path, func(b []byte) []byte { return bytes.Repeat([]byte{0xa5}, len(b)) })
	},
	"bit rot":   func(path string) error { return rewrite(path, func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b }) },
	"all zeros": func(path string) error { return rewrite(path, func(b []byte) []byte { return make([]byte, len(b)) }) },
}

func rewrite(path string, change func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return err
	}
	return os.WriteFile(path, change(b), 0o600)
}

// TestADamagedStoreIsNotStarted damages every file of the store in every way. The
// driver starts with all that was stored, or says that the store is damaged and what
// mends it; it never starts with a part.
func TestADamagedStoreIsNotStarted(t *testing.T) {
	t.Parallel()
	w := populated(t)
	state := filepath.Join(w.dir, "state")
	whole := filepath.Join(w.dir, "whole")
	run(t, "cp", "-a", state, whole)
	refusals := 0
	err := filepath.WalkDir(whole, func(path string, entry os.DirEntry, err error) error {
		name := strings.TrimPrefix(path, whole+"/")
		if err != nil || !entry.Type().IsRegular() || strings.EqualFold(entry.Name(), "lock") {
			return err
		}
		for how, damage := range damages {
			t.Run(name+" "+how, func(t *testing.T) {
				run(t, "rm", "-rf", state)
				run(t, "cp", "-a", whole, state)
				if err := damage(filepath.Join(state, name)); err != nil {
					t.Fatal(err)
				}
				w.d = process.Launch(t, process.Options{Dir: w.dir, Pool: w.pool, Metrics: true})
				if w.d.AwaitAnswering() == nil {
					w.check(t)
					return
				}
				refusals++
				mustSay(t, w.d.Log(), "hostpath-csi recover", "damaged")
				if t.Failed() {
					return
				}
				w.refused(t) // and stays so
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if refusals == 0 {
		t.Error("no damage was ever noticed")
	}
	run(t, "rm", "-rf", state)
	run(t, "cp", "-a", whole, state)
	w.start(t)
	w.check(t)
}

// TestASecondDriverIsRefused starts one on the state directory, and one on the
// socket, of another.
func TestASecondDriverIsRefused(t *testing.T) {
	t.Parallel()
	w := populated(t)
	w.start(t)
	mustSay(t, w.refused(t), "in use by process "+fmt.Sprint(w.d.PID()))

	other := newWorld(t)
	d := process.Launch(t, process.Options{Dir: other.dir, Args: []string{"--endpoint", w.d.Endpoint()}})
	<-d.Exited()
	mustSay(t, d.Log(), "another process serves")
	w.check(t)
}

// TestASocketThatIsLeftIsTakenOver starts the driver where a killed one left its
// socket, and where something is that is none.
func TestASocketThatIsLeftIsTakenOver(t *testing.T) {
	t.Parallel()
	w := populated(t)
	w.start(t)
	w.d.Kill()
	socket := filepath.Join(w.dir, "csi.sock")
	if st, err := os.Lstat(socket); err != nil || st.Mode().Type() != os.ModeSocket {
		t.Fatalf("the killed driver left no socket: %v, %v", st, err)
	}
	w.start(t)
	w.check(t)
	w.d.Kill()
	if err := errors.Join(os.Remove(socket), os.WriteFile(socket, []byte("precious"), 0o600)); err != nil {
		t.Fatal(err)
	}
	mustSay(t, w.refused(t), socket, "no socket")
	if b, err := os.ReadFile(socket); err != nil || string(b) != "precious" {
		t.Errorf("what was at the socket's path is %q now: %v", b, err)
	}
}

// TestATerminatedDriverEndsItsCalls ends the driver with SIGTERM amid calls: those it
// has begun are answered, others are not begun.
func TestATerminatedDriverEndsItsCalls(t *testing.T) {
	t.Parallel()
	w := newWorldOnDisk(t)
	d := w.start(t)
	answered := make(chan struct{}, 10000)
	var all sync.WaitGroup
	for client := range 8 {
		all.Go(func() {
			for i := range 1000 {
				v := newVolume(fmt.Sprintf("client-%d-volume-%d", client, i), "")
				err := v.do(d, "create")
				if status.Code(err) == codes.Unavailable {
					if _, err := d.List(); err == nil {
						t.Errorf("a call was cut off while the driver served: %v", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered <- struct{}{}
			}
		})
	}
	for range 20 {
		<-answered
	}
	if err := d.Terminate(); err != nil {
		t.Errorf("a driver that was asked to end ended with: %v", err)
	}
	all.Wait()
	w.start(t)
	listed, err := w.d.List()
	if err != nil {
		t.Fatal(err)
	}
	if done := len(answered) + 20; len(listed) != done {
		t.Errorf("%d calls were answered, and %d volumes are there", done, len(listed))
	}
}
