package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// ephemeralSteps are those that a volume of a pod comes to, from its publish on.
var ephemeralSteps = names(crash.CreateRecorded, crash.CreateMade, crash.CreateLabelled, crash.CreateSynced, crash.CreateCommitting,
	crash.CreateCommitted, crash.CreatePlaced, crash.EphemeralMade, crash.PublishChecked, crash.PublishMounted,
	crash.UnpublishDetach, crash.UnpublishRemoved, crash.EphemeralUnpublished,
	crash.DeleteRecorded, crash.DeleteRenamed, crash.DeleteCommitted, crash.DeleteSynced, crash.DeleteFinalized, crash.PurgeStarted)

// scratch is a volume of a pod, as its kubelet has it.
type scratch struct{ id, pod, target string }

// newScratch makes what the kubelet makes before it calls.
func newScratch(t *testing.T, w *world) scratch {
	t.Helper()
	pod := filepath.Join(w.dir, "kubelet", "pods", "6f1e2d1c")
	at := filepath.Join(pod, "volumes", "kubernetes.io~csi", "scratch")
	if err := os.MkdirAll(at, 0o750); err != nil {
		t.Fatal(err)
	}
	return scratch{process.EphemeralID("6f1e2d1c", "scratch"), pod, filepath.Join(at, "mount")}
}

func (s scratch) publish(d *process.Driver) error {
	return d.PublishEphemeral(s.id, s.target, map[string]string{"size": fmt.Sprint(firstSize)})
}

// goes has the pod vanish, with all that its kubelet knew of it, as after a power cut.
func (s scratch) goes(t *testing.T) {
	t.Helper()
	if err := syscall.Unmount(s.target, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.pod); err != nil {
		t.Fatal(err)
	}
}

// TestKilledWhileAPodHasAVolume kills the driver at every step from the publish of an
// ephemeral volume to the end of what it held. The kubelet asks again; or it does not,
// since the pod is gone by then. Nothing of the volume is left in the end.
func TestKilledWhileAPodHasAVolume(t *testing.T) {
	for _, at := range ephemeralSteps {
		for _, again := range []bool{true, false} {
			how := "asked again"
			if !again {
				how = "the pod is gone"
			}
			t.Run(at+", "+how, func(t *testing.T) {
				t.Parallel()
				killedEphemeral(t, at, again)
			})
		}
	}
}

func killedEphemeral(t *testing.T, at string, again bool) {
	w := newWorld(t)
	w.start(t)
	free := w.free(t)
	w.must(t, w.volume("bystander"), "create", "publish", "write")
	w.d.Kill()
	s := newScratch(t, w)

	doomed := w.startDoomed(t, at)
	published := s.publish(doomed) == nil
	if published {
		if err := fill(s.target, "scratched. "); err != nil {
			t.Fatal(err)
		}
		if err := doomed.UnpublishOnceFree(s.id, s.target); err == nil {
			t.Logf("all was answered before step %s", at)
		}
	}
	awaitDeath(t, doomed, at)

	if !again {
		s.goes(t)
	}
	w.start(t)
	if again {
		if !published {
			for range 2 {
				if err := s.publish(w.d); err != nil {
					t.Fatal(err)
				}
			}
			if err := holds(s.target, ""); err != nil {
				t.Fatal(err)
			}
			if err := stats(w.d, s.id, s.target); err != nil {
				t.Fatal(err)
			}
			if err := fill(s.target, "scratched again. "); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := w.d.UnpublishOnceFree(s.id, s.target); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Lstat(s.target); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("its target is there: %v", err)
		}
	}
	process.Eventually(t, "the volume of the pod is gone", func() error {
		return process.SameNames(t, filepath.Join(w.d.PoolDir(), "volumes"), "bystander")
	})
	w.check(t)
	if left := mountsAt(t, filepath.Join(w.dir, "kubelet")); len(left) > 0 {
		t.Errorf("mounts are left: %q", left)
	}
	w.end(t)
	w.isFree(t, free)
}
