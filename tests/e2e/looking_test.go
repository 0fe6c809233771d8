package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Each node is asked by the command of its own driver, in its container.
func TestTheDoctorFindsEachNodeReady(t *testing.T) {
	t.Parallel()
	for _, node := range []string{"n1", "n2", "n3"} {
		out, err := hostpath(t.Context(), "doctor", node, "-o", "json")
		if err != nil {
			t.Errorf("something FAILs on node %s: %v", node, err)
			continue
		}
		var found struct {
			Findings []struct{ Verdict, About, Check, Found, Remedy string }
		}
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		verdicts := map[string]string{}
		for _, f := range found.Findings {
			verdicts[f.About+"/"+f.Check] = f.Verdict
			if (f.Verdict == "OK") != (f.Remedy == "") {
				t.Errorf("node %s: %+v", node, f)
			}
		}
		for check, want := range map[string]string{
			"machine/privileges": "OK", "machine/kubelet": "OK", "machine/mount propagation": "OK", "machine/loop devices": "OK",
			"pool default/directory": "OK", "pool default/trusted xattrs": "OK", "pool default/limits": "OK", "pool default/reflink": "OK",
			"pool plain/directory": "OK", "pool plain/trusted xattrs": "OK", "pool plain/limits": "WARN",
		} {
			if verdicts[check] != want {
				t.Errorf("node %s: %s is %q, want %q, of\n%s", node, check, verdicts[check], want, out)
			}
		}
	}
	if out, err := hostpath(t.Context(), "doctor", "n9"); err == nil || !strings.Contains(err.Error(), `no pod of the node plugin works on node "n9"`) {
		t.Errorf("of a node there is not, the doctor says %v\n%s", err, out)
	}
}

// counted has pods, each on a node of its own with a claim data-POD, write some MiB more than the
// one before, and du count it, the largest first.
func (w *world) counted(pods []string) {
	w.Helper()
	var want []string
	for i, pod := range pods {
		w.inPod(pod, fmt.Sprintf("head -c %d /dev/urandom >/data/much; sync", (i+1)*mib))
		want = append(want, fmt.Sprintf("%s data-%s %d MiB", w.nodeOf(pod), pod, i+1))
	}
	slices.Reverse(want)
	w.eventually("du counts what was written", func(ctx context.Context) error {
		return w.takes(ctx, want, "du")
	})
	slices.Sort(want)
	w.eventually("the nodes tell what was written", func(ctx context.Context) error {
		return w.takes(ctx, want, "volumes", "--used")
	})
}

// takes returns nil if a command of kubectl hostpath tells so of this test's volumes; du in that
// order, others in any.
func (w *world) takes(ctx context.Context, want []string, command ...string) error {
	out, err := hostpath(ctx, append(command, "-o", "json")...)
	if err != nil {
		return err
	}
	var list struct {
		Volumes []struct {
			Node      string
			Claim     struct{ Namespace, Name string }
			UsedBytes int64
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err
	}
	var got []string
	for _, v := range list.Volumes {
		if v.Claim.Namespace == w.ns {
			got = append(got, fmt.Sprintf("%s %s %d MiB", v.Node, v.Claim.Name, v.UsedBytes/mib))
		}
	}
	if command[0] != "du" {
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("it tells %q, want %q", got, want)
	}
	return nil
}
