package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each of deploy/examples does what it says, applied as its first lines tell. The StatefulSet
// and the static volume have tests of their own, in which they are applied, too.
func TestEveryExampleDoesWhatItSays(t *testing.T) {
	t.Parallel()
	works := map[string]func(w *world){
		"block.yaml": func(w *world) {
			w.example("block.yaml")
			w.running("device")
			w.reads("device", "head -c 5 /dev/data", "hello")
			w.reads("device", "blockdev --getsize64 /dev/data", "67108864")
		},
		"clone.yaml": func(w *world) {
			w.inSteps("clone.yaml", "source")
			w.running("clone")
			w.reads("clone", "cat /data/file", "of the source")
		},
		"ephemeral-generic.yaml": func(w *world) { w.scratch("ephemeral-generic.yaml", "scratch") },
		"ephemeral-inline.yaml":  func(w *world) { w.scratch("ephemeral-inline.yaml", "scratch-inline") },
		"snapshot-restore.yaml": func(w *world) {
			w.inSteps("snapshot-restore.yaml", "original")
			w.running("restored")
			w.reads("restored", "cat /data/file", "of the original")
		},
		"statefulset.yaml": nil, // TestAStatefulSetKeepsItsVolumes
		"static-pv.yaml":   nil, // TestRetainKeepsTheVolumeForAnotherClaim
	}
	files, err := filepath.Glob(filepath.Join(root, "deploy/examples/*.yaml"))
	if err != nil || len(files) != len(works) {
		t.Fatalf("there are %d examples, and tests of %d (%v)", len(files), len(works), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		work, known := works[name]
		if !known {
			t.Errorf("nothing applies %s", name)
		}
		if work != nil {
			t.Run(name, func(t *testing.T) { work(beside(t)) })
		}
	}
}

// inSteps applies an example as its first lines tell: what it begins with, and when that
// runs, the rest.
func (w *world) inSteps(file, first string) {
	w.Helper()
	path := filepath.Join(root, "deploy/examples", file)
	content, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	for _, command := range [][]string{
		{"apply", "-f", file, "-l", "step=" + first},
		{"wait", "--for=condition=Ready", "pod/" + first},
		{"apply", "-f", file},
	} {
		if said := "#\tkubectl " + strings.Join(command, " ") + "\n"; !strings.Contains(string(content), said) {
			w.Errorf("%s does not say: %s", file, said)
		}
		if command[0] == "apply" {
			command[2] = path
		} else {
			command = append(command, "--timeout="+patience.String())
		}
		w.kubectl(command...)
	}
}

// reads waits until a command in a pod prints something.
func (w *world) reads(pod, command, want string) {
	w.Helper()
	w.eventually(pod+" reads "+want, func(context.Context) error {
		got, err := w.tryInPod(pod, command)
		if err == nil && got != want {
			err = fmt.Errorf("it reads %q", got)
		}
		return err
	})
}

// scratch applies an example that is a Deployment of two pods with scratch space, and writes
// into it more than fits.
func (w *world) scratch(file, deployment string) {
	w.Helper()
	w.example(file)
	w.kubectl("rollout", "status", "deployment/"+deployment, "--timeout="+patience.String())
	out, err := w.tryInPod("deployment/"+deployment, "dd if=/dev/zero of=/scratch/all bs=1M count=100 2>&1")
	if err == nil || !strings.Contains(out, "No space left") && !strings.Contains(out, "quota exceeded") {
		w.Errorf("64 MiB of scratch space took 100: %s (%v)", out, err)
	}
	w.kubectl("delete", "deployment/"+deployment)
}
