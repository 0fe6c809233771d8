package audit

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// event is a call that arrived so many milliseconds after noon, and took one.
func event(after int, client, verb, what, name string) Event {
	accounts := map[string][2]string{
		Controller:        {"system:serviceaccount:hostpath-csi:hostpath-csi-controller", "hostpath-csi/v1 (linux/amd64)"},
		Provisioner:       {"system:serviceaccount:hostpath-csi:hostpath-csi-controller", "csi-provisioner/v6 (linux/amd64)"},
		Node:              {"system:serviceaccount:hostpath-csi:hostpath-csi-node", "hostpath-csi/v1 (linux/amd64)"},
		ControllerManager: {"system:serviceaccount:kube-system:persistent-volume-binder", "kube/v1 (linux/amd64)"},
		Scheduler:         {"system:kube-scheduler", "kube/v1"},
		Kubelet:           {"system:node:n1", "kube/v1"},
		"bench":           {"admin", "bench/v0"},
	}
	var e Event
	e.User.Username, e.UserAgent = accounts[client][0], accounts[client][1]
	e.Verb, e.Object.Name, e.Status.Code = verb, name, 200
	e.Object.Resource, e.Object.Subresource, _ = strings.Cut(what, "/")
	if e.Object.Resource == "persistentvolumeclaims" {
		e.Object.Namespace = "shop"
	}
	e.Received = noon.Add(time.Duration(after) * time.Millisecond)
	e.Answered = e.Received.Add(time.Millisecond)
	return e
}

// life is what the API server writes down of a claim that waits for its pod.
func life() []Event {
	return []Event{
		event(100, Scheduler, "update", "persistentvolumeclaims", "data"),
		event(300, ControllerManager, "update", "persistentvolumeclaims", "data"),
		event(400, Controller, "create", "hostpathvolumes", "pvc-1"),
		event(420, Node, "patch", "hostpathvolumes/status", "pvc-1"),
		event(430, Provisioner, "create", "events", "data.1"),
		event(500, Provisioner, "create", "persistentvolumes", "pvc-1"),
		event(600, ControllerManager, "update", "persistentvolumes/status", "pvc-1"),
		event(700, ControllerManager, "update", "persistentvolumeclaims", "data"),
		event(800, ControllerManager, "update", "persistentvolumeclaims/status", "data"),
	}
}

func data() []Claim { return []Claim{{Namespace: "shop", Name: "data", Volume: "pvc-1", From: noon}} }

func check(t *testing.T, got []Stage, err error, want map[string]float64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d stages, not %d: %v", len(got), len(want), got)
	}
	for _, s := range got {
		if millis, ok := want[s.Name]; !ok || math.Abs(s.Mean*1e3-millis) > 1e-6 {
			t.Errorf("%q took %v ms, not %v", s.Name, s.Mean*1e3, millis)
		}
	}
}

func TestAClaimIsInOnesHandsAfterTheOthers(t *testing.T) {
	stages, err := Follow(Waiting, data(), life())
	check(t, stages, err, map[string]float64{
		scheduling.name: 101, asking.name: 200, calling.name: 99, making.name: 21, storing.name: 80, binding.name: 300,
	})
}

func TestStagesAreTheMeanOverAllClaims(t *testing.T) {
	events := life()
	for _, e := range life() {
		e.Object.Name = map[string]string{"data": "log", "pvc-1": "pvc-2", "data.1": "log.1"}[e.Object.Name]
		if e.Verb == "create" && e.Object.Resource == "hostpathvolumes" {
			e.Received = e.Received.Add(-50 * time.Millisecond) // called sooner: the driver took longer
		}
		events = append(events, e)
	}
	stages, err := Follow(Waiting, append(data(), Claim{Namespace: "shop", Name: "log", Volume: "pvc-2", From: noon}), events)
	check(t, stages, err, map[string]float64{
		scheduling.name: 101, asking.name: 200, calling.name: 74, making.name: 46, storing.name: 80, binding.name: 300,
	})
}

func TestAWriteThatFailedEndsNoStage(t *testing.T) {
	conflict := event(150, ControllerManager, "update", "persistentvolumeclaims", "data")
	conflict.Status.Code = 409
	read := event(160, Controller, "get", "hostpathvolumes", "pvc-1")
	stages, err := Follow(Immediate, data(), append([]Event{conflict, read}, life()...))
	check(t, stages, err, map[string]float64{asking.name: 301, calling.name: 99, making.name: 21, storing.name: 80, binding.name: 300})
}

func TestWhatEndsBeforeItsTurnTakesNoTime(t *testing.T) {
	events := life()
	events[5] = event(410, Provisioner, "create", "persistentvolumes", "pvc-1") // before the driver is done
	stages, err := Follow(Immediate, data(), events)
	check(t, stages, err, map[string]float64{asking.name: 301, calling.name: 99, making.name: 21, storing.name: 0, binding.name: 380})
}

func TestAMissingEventIsNamed(t *testing.T) {
	_, err := Follow(Immediate, data(), life()[:5])
	if err == nil || !strings.Contains(err.Error(), "shop/data") || !strings.Contains(err.Error(), "pvc-1") || !strings.Contains(err.Error(), storing.name) {
		t.Errorf("the error is %v", err)
	}
}

func TestADeletedClaimIsFollowedToTheEndOfItsVolume(t *testing.T) {
	stages, err := Follow(Deletion, data(), []Event{
		event(0, "bench", "delete", "persistentvolumeclaims", "data"),
		event(100, ControllerManager, "update", "persistentvolumes/status", "pvc-1"),
		event(200, Controller, "delete", "hostpathvolumes", "pvc-1"),
		event(210, Node, "patch", "hostpathvolumes/status", "pvc-1"),
		event(240, Node, "patch", "hostpathvolumes", "pvc-1"),
		event(300, Provisioner, "delete", "persistentvolumes", "pvc-1"),
		event(350, Provisioner, "patch", "persistentvolumes", "pvc-1"),
		event(400, ControllerManager, "update", "persistentvolumes", "pvc-1"),
		event(430, Node, "delete", "hostpathvolumes", "pvc-1"),
	})
	check(t, stages, err, map[string]float64{releasing.name: 101, forgetting.name: 99, removing.name: 11, ending.name: 190, finalizing.name: 30})
}

func TestCallsAreCountedPerVolumeByWhoMakesThem(t *testing.T) {
	failed := event(1, Controller, "create", "hostpathvolumes", "pvc-1")
	failed.Status.Code = 409
	events := append(life(), failed, event(2, Controller, "get", "persistentvolumeclaims", "data"))
	got := map[string]Calls{}
	for _, c := range Count(events, 2) {
		got[c.Client+" "+c.Verb+" "+c.What] = c
	}
	for name, want := range map[string]struct {
		perVolume float64
		writes    bool
	}{
		"controller create hostpathvolumes":                       {1, true},
		"controller get persistentvolumeclaims":                   {0.5, false},
		"node plugin patch hostpathvolumes/status":                {0.5, true},
		"controller manager update persistentvolumeclaims":        {1, true},
		"controller manager update persistentvolumeclaims/status": {0.5, true},
		"csi-provisioner create events":                           {0.5, true},
		"scheduler update persistentvolumeclaims":                 {0.5, true},
	} {
		if c, ok := got[name]; !ok || c.PerVolume != want.perVolume || c.Writes != want.writes {
			t.Errorf("%s: %+v, not %+v", name, c, want)
		}
	}
}

const line = `{"verb":"create","user":{"username":"system:node:n1"},"userAgent":"kubelet/v1","objectRef":{"resource":"events","name":"%s"},` +
	`"responseStatus":{"code":201},"requestReceivedTimestamp":"2026-01-01T12:00:00.000001Z","stageTimestamp":"2026-01-01T12:00:00.002Z"}`

func TestALogIsReadFromWhereItWasBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add(fmt.Sprintf(line, "old") + "\n")
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	names := func() (all []string) {
		t.Helper()
		events, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			all = append(all, e.Object.Name)
			if e.Client() != Kubelet || !e.Writes() || !e.Done() || e.Answered.Sub(e.Received) != 1999*time.Microsecond {
				t.Errorf("it was read as %+v", e)
			}
		}
		return all
	}
	third := fmt.Sprintf(line, "third")
	for _, step := range []struct{ text, want string }{
		{"", "[]"},
		{fmt.Sprintf(line, "first") + "\n" + fmt.Sprintf(line, "second") + "\n" + third[:40], "[first second]"},
		{third[40:100], "[]"},
		{third[100:] + "\n", "[third]"},
	} {
		add(step.text)
		if got := fmt.Sprint(names()); got != step.want {
			t.Errorf("after %q: %s, not %s", step.text, got, step.want)
		}
	}
	add("no JSON\n")
	if _, err := l.Next(); err == nil || !strings.Contains(err.Error(), "no JSON") {
		t.Errorf("of a line that is no JSON: %v", err)
	}
}
