package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestCommitsShareAnFsync(t *testing.T) {
	const volumes = 64
	g := newGate()
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, fs: g.fs()})
	for i := range volumes {
		if _, err := s.Volumes().Create(t.Context(), fmt.Sprint("v", i), state.VolumeSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	g.shut()
	var wg sync.WaitGroup
	for i := range volumes {
		wg.Go(func() {
			_, err := s.Volumes().UpdateStatus(t.Context(), fmt.Sprint("v", i), func(u *state.VolumeStatus) error {
				u.Phase = state.Ready
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	// The first sync waits at the gate, and everybody who wants another is in the log.
	<-g.arrived
	for i := range volumes {
		waitFor(func() bool {
			obj, err := s.volumes.read(fmt.Sprint("v", i))
			return err == nil && obj.Status.Phase == state.Ready
		})
	}
	g.release()
	wg.Wait()
	if n := g.passed(); n > 2 {
		t.Errorf("%d commits took %d fsyncs, want the one at the gate and one for all the others", volumes, n)
	}
}

func TestNothingIsReadThatIsNotDurable(t *testing.T) {
	g := newGate()
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, fs: g.fs()})
	if _, err := s.Volumes().Create(t.Context(), "a", state.VolumeSpec{}); err != nil {
		t.Fatal(err)
	}
	g.shut()
	updated := make(chan error)
	go func() {
		_, err := s.Volumes().UpdateStatus(t.Context(), "a", func(u *state.VolumeStatus) error { u.Phase = state.Ready; return nil })
		updated <- err
	}()
	<-g.arrived

	// Pebble shows the change by now. A Get that did too would not time out.
	waitFor(func() bool {
		obj, err := s.volumes.read("a")
		return err == nil && obj.Status.Phase == state.Ready
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	got, err := s.Volumes().Get(ctx, "a")
	if state.ReasonOf(err) != state.TimedOut {
		t.Errorf("got %+v, %v, while it could still be lost", got.Status, err)
	}

	listed := make(chan error)
	go func() {
		list, _, err := s.Volumes().List(t.Context(), state.Page{})
		if err == nil && list[0].Status.Phase != state.Ready {
			err = errors.New("the list is old")
		}
		listed <- err
	}()
	// The list has been read, and its commit waits behind the other.
	waitFor(func() bool { return s.syncing.Load() == 2 })
	select {
	case err := <-listed:
		t.Errorf("listed (error: %v) what could still be lost", err)
	default:
	}
	g.release()
	for _, done := range []chan error{updated, listed} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestWhatMayBeLostDoesNotWaitForTheDisk(t *testing.T) {
	g := newGate()
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, fs: g.fs()})
	if _, err := s.Nodes().Create(t.Context(), "node-1", state.NodeSpec{}); err != nil {
		t.Fatal(err)
	}
	ready, deleting := mustStore(t, s, "ready"), mustStore(t, s, "deleting")
	_, err := s.Volumes().UpdateStatus(t.Context(), "deleting", func(u *state.VolumeStatus) error { u.Phase = state.Deleting; return nil })
	wantReason(t, "", err)

	g.shut()
	defer g.release()
	wantReason(t, "", s.Volumes().Delete(t.Context(), ready.ID))
	wantReason(t, "", s.Volumes().Finalize(t.Context(), deleting.ID, deleting.UID))
	_, err = s.Volumes().Create(t.Context(), "a", state.VolumeSpec{})
	wantReason(t, "", err)
	_, err = s.Volumes().UpdateStatus(t.Context(), "a", func(u *state.VolumeStatus) error { u.Phase = state.Pending; return nil })
	wantReason(t, "", err)
	wantReason(t, "", s.Volumes().Delete(t.Context(), "a"))
	_, err = s.Nodes().UpdateStatus(t.Context(), "node-1", func(u *state.NodeStatus) error {
		u.Pools = []state.PoolStatus{{Name: "default"}}
		return nil
	})
	wantReason(t, "", err)
}

func TestAFailingDiskEndsTheProcessWithAMessage(t *testing.T) {
	child := exec.Command(os.Args[0], filepath.Join(t.TempDir(), "state"))
	child.Env = append(os.Environ(), childEnv+"=fail")
	var log bytes.Buffer
	child.Stderr = &log
	err := child.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the process ended with %v", err)
	}
	for _, want := range []string{"The state store failed and ends the process", "input/output error"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in its log:\n%s", want, log.String())
		}
	}
}

// A process that is killed at any time leaves everything that it told of, and a
// store that opens.
func TestWhatWasToldOutlivesAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var told []string
	for range 3 {
		child, out := startChild(t, "write", dir)
		for range 500 {
			if !out.Scan() {
				t.Fatal("the child ended")
			}
			told = append(told, out.Text())
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() {
			told = append(told, out.Text())
		}
		child.Wait() // it was killed: an error

		s := mustOpen(t, dir, Options{})
		for _, id := range told {
			if v, err := s.Volumes().Get(t.Context(), id); err != nil || v.Status.Phase != state.Ready {
				t.Fatalf("%s was told of, and is %+v, %v", id, v.Status.Phase, err)
			}
		}
		mustClose(t, s)
	}
}

// waitFor returns when a condition holds that other goroutines will bring about.
func waitFor(holds func() bool) {
	for !holds() {
		runtime.Gosched()
	}
}
