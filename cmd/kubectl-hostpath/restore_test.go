//go:build kubestore

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/kube"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// archived makes a volume with data, deletes it, and returns its name in the archive.
func (n *runningNode) archived(t *testing.T, ctx context.Context, records *kube.Store, id string) (name string) {
	t.Helper()
	_, err := records.Volumes().Create(ctx, id, state.VolumeSpec{Name: id, Node: "worker-1", Pool: "fast", CapacityBytes: 1 << 20, AccessType: state.MountAccess, Mode: 0o750, OnDelete: state.OnDeleteArchive})
	must(t, err)
	_, err = state.Await(ctx, records.Volumes(), id, func(v state.Volume) (bool, error) { return v.Status.Phase == state.Ready, nil })
	must(t, err)
	process.Eventually(t, "it is placed", func() error { // which the API server does not wait for
		return os.WriteFile(filepath.Join(n.dir, "pool/volumes", id, "file"), []byte("data"), 0o600)
	})
	must(t, records.Volumes().Delete(ctx, id))
	process.Eventually(t, "it is archived, and has no record", func() error {
		names, err := filepath.Glob(filepath.Join(n.dir, "pool/archive", id+".*"))
		if err != nil || len(names) != 1 {
			return fmt.Errorf("there are %q, %v", names, err)
		}
		name = filepath.Base(names[0])
		if _, err := records.Volumes().Get(ctx, id); state.ReasonOf(err) != state.NotFound {
			return fmt.Errorf("it has a record: %v", err)
		}
		return nil
	})
	return name
}

// wantData wants the data at one path of the pool, and nothing at another.
func (n *runningNode) wantData(t *testing.T, there, not string) {
	t.Helper()
	process.Eventually(t, "it is placed", func() error {
		b, err := os.ReadFile(filepath.Join(n.dir, "pool", there, "file"))
		if err == nil && string(b) != "data" {
			err = fmt.Errorf("%s holds %q", there, b)
		}
		return err
	})
	if _, err := os.Lstat(filepath.Join(n.dir, "pool", not)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there, too: %v", not, err)
	}
}

// TestADeletedVolumeComesBackOnARealNode, whose records are in Kubernetes; and a copy, which leaves
// the archive its own, until that is purged.
func TestADeletedVolumeComesBackOnARealNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	n := startNode(t, ctx)
	records, err := kube.Open(ctx, n.server.Config(), kube.Options{})
	must(t, err)
	defer func() { must(t, records.Close()) }()
	name := n.archived(t, ctx, records, "db")
	for range 2 { // asked again, it goes on
		out, err := n.command(ctx, "archive", "restore", name)
		if err != nil || !strings.HasPrefix(out, "volume db is there again, in pool fast of node worker-1: PersistentVolume db, ") {
			t.Fatalf("%v\n%s", err, out)
		}
		n.wantData(t, "volumes/db", "archive/"+name)
	}
	v, err := records.Volumes().Get(ctx, "db")
	if err != nil || v.Spec.Mode != 0o750 || v.Spec.OnDelete != state.OnDeleteArchive {
		t.Errorf("its record is %+v, %v", v, err)
	}

	name = n.archived(t, ctx, records, "kept")
	out, err := n.command(ctx, "archive", "restore", name, "--keep")
	if err != nil || !strings.HasSuffix(out, "The archive keeps its own: kubectl hostpath archive purge "+name+"\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	n.wantData(t, "volumes/kept", "volumes/none")
	n.wantData(t, "archive/"+name, "archive/none")
	if out, err := n.command(ctx, "archive", "purge", name); err != nil || out != name+" goes from node worker-1\n" {
		t.Errorf("%v\n%s", err, out)
	}
	n.wantData(t, "volumes/kept", "archive/"+name)
}

// TestANodeIsKilledWhileAVolumeComesBack: its next start goes on, since the record is in Kubernetes.
// There is the volume then, and the archive has it no more.
func TestANodeIsKilledWhileAVolumeComesBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	n := newNode(t, ctx)
	records, err := kube.Open(ctx, n.server.Config(), kube.Options{})
	must(t, err)
	defer func() { must(t, records.Close()) }()
	doomed := process.Binary(t, "crashtest")
	for i, at := range []crash.Name{crash.CreateRecorded, crash.AdoptLabelled, crash.AdoptHeld, crash.CreateCommitting, crash.CreateCommitted, crash.RestoreLabelled, crash.CreatePlaced} {
		t.Run(string(at), func(t *testing.T) {
			id := fmt.Sprint("db-", i)
			kill := func(cmd *exec.Cmd) { // unless it is dead
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
			first, _ := n.launch(t, n.program)
			defer kill(first)
			name := n.archived(t, ctx, records, id)
			kill(first)

			killed, log := n.launch(t, doomed, "HOSTPATH_CSI_CRASH_AT="+string(at))
			defer kill(killed)
			_, _ = n.command(ctx, "archive", "restore", name, "--timeout", "2s") // it may be answered
			giveUp := time.AfterFunc(30*time.Second, func() { _ = killed.Process.Signal(unix.SIGTERM) })
			_ = killed.Wait()
			giveUp.Stop()
			if status, ok := killed.ProcessState.Sys().(interface{ Signal() unix.Signal }); !ok || status.Signal() != unix.SIGKILL {
				t.Fatalf("it was not killed: %v\n%s", killed.ProcessState, log.String())
			}

			last, log := n.launch(t, n.program)
			defer kill(last)
			out, err := n.command(ctx, "archive", "restore", name)
			if err != nil || !strings.HasPrefix(out, "volume "+id+" is there again") {
				t.Errorf("%v\n%s\n%s", err, out, log.String())
			}
			n.wantData(t, "volumes/"+id, "archive/"+name)
		})
	}
}
