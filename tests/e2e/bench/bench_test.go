package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func TestFlagsSayHowManyClaimsAndOfWhichKind(t *testing.T) {
	for _, c := range []struct {
		args             []string
		claims, bindings string
	}{
		{nil, "[100 500]", "[{Immediate hostpath-csi-immediate} {WaitForFirstConsumer hostpath-csi}]"},
		{[]string{"--claims", "7", "--binding", "WaitForFirstConsumer"}, "[7]", "[{WaitForFirstConsumer hostpath-csi}]"},
		{[]string{"--claims", "1,20,300"}, "[1 20 300]", "[{Immediate hostpath-csi-immediate} {WaitForFirstConsumer hostpath-csi}]"},
	} {
		o, err := parse(c.args)
		if err != nil || fmt.Sprint(o.claims) != c.claims || fmt.Sprint(o.bindings) != c.bindings {
			t.Errorf("%q: %v of %v (%v)", c.args, o.claims, o.bindings, err)
		}
	}
	for arg, says := range map[string]string{"--claims=0": `"0"`, "--claims=10,": `""`, "--binding=Never": `"Never"`, "more": `"more"`} {
		if _, err := parse([]string{arg}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestEachClaimHasOnePod(t *testing.T) {
	for _, n := range []int{1, 9, 10, 11, 500} {
		pods := shares(n)
		var all []string
		for i, claims := range pods {
			all = append(all, claims...)
			pod := newPod(i, claims)
			if got := len(pod.Spec.Volumes); got != len(claims) || got != len(pod.Spec.Containers[0].VolumeMounts) || got < n/consumers || got > n/consumers+1 {
				t.Errorf("of %d claims, pod %d uses %d", n, i, got)
			}
		}
		slices.Sort(all)
		if len(slices.Compact(all)) != n || len(pods) > consumers {
			t.Errorf("%d pods use %d of %d claims", len(pods), len(all), n)
		}
	}
}

func TestAtOnceDoesAllUntilOneFails(t *testing.T) {
	var done atomic.Int64
	if err := atOnce(t.Context(), 200, func(context.Context, int) error { done.Add(1); return nil }); err != nil || done.Load() != 200 {
		t.Errorf("%d of 200 were done (%v)", done.Load(), err)
	}
	broken := errors.New("broken")
	if err := atOnce(t.Context(), 200, func(ctx context.Context, i int) error {
		if i == 5 {
			return broken
		}
		if i > 5 {
			<-ctx.Done() // whoever comes later ends with it
		}
		return nil
	}); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func claimIn(phase corev1.PersistentVolumeClaimPhase, name string) watch.Event {
	return watch.Event{Type: watch.Modified, Object: &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PersistentVolumeClaimStatus{Phase: phase}}}
}

func TestAWatchIsFollowedUntilAllHasCome(t *testing.T) {
	w := watch.NewFakeWithChanSize(10, false)
	times := newStopwatch()
	for _, name := range []string{"a", "b"} {
		times.start(name)
		w.Action(watch.Added, claimIn(corev1.ClaimPending, name).Object)
	}
	for _, name := range []string{"a", "a", "b"} {
		w.Action(watch.Modified, claimIn(corev1.ClaimBound, name).Object)
	}
	if err := follow(t.Context(), w, times, 2, isBound); err != nil {
		t.Fatal(err)
	}
	each, all := times.times()
	if len(each) != 2 || all < max(each[0], each[1]) {
		t.Errorf("each took %v, all %v", each, all)
	}
}

func TestAWatchThatEndsTooSoonIsAnError(t *testing.T) {
	ended := watch.NewFakeWithChanSize(1, false)
	ended.Stop()
	if err := follow(t.Context(), ended, newStopwatch(), 2, isBound); err == nil || !strings.Contains(err.Error(), "0 of 2") {
		t.Errorf("a watch that ended: %v", err)
	}
	late := errors.New("it took longer")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	if err := follow(ctx, watch.NewFake(), newStopwatch(), 2, isBound); !errors.Is(err, late) {
		t.Errorf("no time left: %v", err)
	}
}

func TestOfTwoStopwatchesTheLaterCounts(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	a, b := newStopwatch(), newStopwatch()
	a.from["x"], a.from["y"] = noon, noon.Add(time.Second)
	a.to["x"], a.to["y"] = noon.Add(3*time.Second), noon.Add(4*time.Second)
	b.to["x"], b.to["y"] = noon.Add(5*time.Second), noon.Add(2*time.Second)
	a.later(b)
	each, all := a.times()
	slices.Sort(each)
	if fmt.Sprint(each) != "[3s 5s]" || all != 5*time.Second {
		t.Errorf("each took %v, all %v", each, all)
	}
}

func TestCoresAreBusyForTheShareOfTheirTime(t *testing.T) {
	before, err := parseCores("cpu  100 0 100 500 100 0 0 0 40 0\ncpu0 1 2 3\n")
	if err != nil {
		t.Fatal(err)
	}
	after, err := parseCores("cpu  150 5 110 520 110 2 3 0 90 0\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := after.busySince(before); got != 0.7 {
		t.Errorf("they were busy for %v of their time, not 0.7", got)
	}
	if got := after.busySince(after); got != 0 {
		t.Errorf("in no time they were busy for %v", got)
	}
	for _, stat := range []string{"", "intr 1 2 3 4 5 6 7 8 9", "cpu 1 2 3", "cpu 1 2 3 x 5 6 7 8"} {
		if _, err := parseCores(stat); err == nil {
			t.Errorf("%q was read", stat)
		}
	}
}
