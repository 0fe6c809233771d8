package pebble

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// childEnv makes a process of the test binary one of these instead.
const childEnv = "PEBBLE_TEST_CHILD"

var children = map[string]func(dir string) error{
	"hold":  childHolds,
	"write": childWrites,
	"fail":  childFails,
}

func TestMain(m *testing.M) {
	child := children[os.Getenv(childEnv)]
	if child == nil {
		os.Exit(m.Run())
	}
	if err := child(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// startChild starts a child and returns it with its output. It is killed when t ends.
func startChild(t *testing.T, name, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	child := exec.Command(os.Args[0], dir)
	child.Env = append(os.Environ(), childEnv+"="+name)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := child.StdinPipe() // which it may wait for
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		child.Process.Kill() // fails if it has ended
		child.Wait()
	})
	return child, bufio.NewScanner(out)
}

// childHolds holds a store until it is killed.
func childHolds(dir string) error {
	s, err := Open(dir, Options{Create: true})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, s.Close())
}

// childWrites makes volumes Ready, tells of each, and goes on until it is killed.
// They are big, so that logs are rotated and used again.
func childWrites(dir string) error {
	s, err := Open(dir, Options{Create: true})
	if err != nil {
		return err
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				if _, err := s.Volumes().Create(ctx, id, state.VolumeSpec{Name: id}); err != nil {
					panic(err)
				}
				_, err := s.Volumes().UpdateStatus(ctx, id, func(u *state.VolumeStatus) error {
					u.Phase, u.Message = state.Ready, strings.Repeat("x", 4096)
					return nil
				})
				if err != nil {
					panic(err)
				}
				fmt.Println(id)
			}
		})
	}
	wg.Wait()
	return nil
}

// childFails uses a disk that fails.
func childFails(dir string) error {
	failing := false
	fs := &hookedFS{FS: vfs.Default, onSync: func(name string, sync func() error) error {
		if failing && filepath.Ext(name) == ".log" {
			return unix.EIO
		}
		return sync()
	}}
	s, err := Open(dir, Options{Create: true, fs: fs})
	if err != nil {
		return err
	}
	failing = true
	_, err = s.Volumes().Create(context.Background(), "a", state.VolumeSpec{})
	if err != nil {
		return err
	}
	_, err = s.Volumes().UpdateStatus(context.Background(), "a", func(u *state.VolumeStatus) error { u.Phase = state.Ready; return nil })
	return fmt.Errorf("the commit was answered with: %v", err)
}
