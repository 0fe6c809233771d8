package pebble

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestTheHealthProbeWritesOnlyWhenNobodyElseDid(t *testing.T) {
	g, c := newGate(), &clock{now: time.Unix(1e9, 0)}
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, fs: g.fs(), now: c.time})
	syncs := func() int {
		before := g.passed()
		wantReason(t, "", s.Healthy(t.Context()))
		return g.passed() - before
	}
	if n := syncs(); n != 0 {
		t.Errorf("%d fsyncs right after a commit", n)
	}
	c.pass(probeAfter)
	if n := syncs(); n != 1 {
		t.Errorf("%d fsyncs when the last commit is old", n)
	}
	if n := syncs(); n != 0 {
		t.Errorf("%d fsyncs right after a probe", n)
	}
	c.pass(probeAfter)
	mustStore(t, s, "a")
	if n := syncs(); n != 0 {
		t.Errorf("%d fsyncs right after a commit", n)
	}
}

func TestADiskThatHangsIsToldOfAndProbedOnce(t *testing.T) {
	g, c := newGate(), &clock{now: time.Unix(1e9, 0)}
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, fs: g.fs(), now: c.time})
	c.pass(probeAfter)
	g.shut()
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error)
	go func() { told <- s.Healthy(ctx) }()
	<-g.arrived
	cancel()
	wantReason(t, state.Unavailable, <-told)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if s.Healthy(ctx) == nil {
			t.Error("healthy, while the disk hangs")
		}
		cancel()
	}
	if n := g.passed(); n != 1 {
		t.Errorf("%d probes wait for the disk", n)
	}
	g.release()
	wantReason(t, "", s.Healthy(t.Context()))
}

func TestAFullDiskRefusesNewRecordsButNotChanges(t *testing.T) {
	var mu sync.Mutex
	now := disk{available: 1 << 40}
	set := func(d disk) { mu.Lock(); defer mu.Unlock(); now = d }
	s := mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, disk: func(string) (disk, error) {
		mu.Lock()
		defer mu.Unlock()
		return now, nil
	}})
	v := mustStore(t, s, "a")
	for _, bad := range []disk{{available: reserve - 1}, {available: 1 << 40, readOnly: true}} {
		set(bad)
		wantReason(t, state.Unavailable, s.Healthy(t.Context()))
		_, err := s.Volumes().Create(t.Context(), "b", state.VolumeSpec{})
		wantReason(t, state.Unavailable, err)
	}
	wantReason(t, "", s.Volumes().Finalize(t.Context(), v.ID, v.UID))
	set(disk{available: reserve})
	wantReason(t, "", s.Healthy(t.Context()))
}

func TestWhatFailsInTheBackgroundIsToldOf(t *testing.T) {
	s := openNew(t)
	events := s.health.listener()
	events.BackgroundError(errors.New("flush failed"))
	wantReason(t, state.Unavailable, s.Healthy(t.Context()))
	events.FlushEnd(pebbledb.FlushInfo{Err: errors.New("failed again")})
	wantReason(t, state.Unavailable, s.Healthy(t.Context()))
	events.FlushEnd(pebbledb.FlushInfo{})
	wantReason(t, "", s.Healthy(t.Context()))
	events.DataCorruption(pebbledb.DataCorruptionInfo{Details: errors.New("a block is bad")})
	events.CompactionEnd(pebbledb.CompactionInfo{})
	wantReason(t, state.Corrupt, s.Healthy(t.Context()))
}
