package pool

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// blockingSync is an fsync that tells when it begins and ends when it is told to.
type blockingSync struct {
	began chan int
	end   chan error
	count int
}

func newBlockingSync() *blockingSync {
	return &blockingSync{began: make(chan int), end: make(chan error)}
}

func (b *blockingSync) sync() error {
	b.count++
	b.began <- b.count
	return <-b.end
}

func TestSyncIsShared(t *testing.T) {
	b := newBlockingSync()
	g := groupSync{fsync: b.sync}
	first := g.Begin()
	<-b.began // from here on, whoever comes is not covered by this one

	const callers = 100
	rounds := make([]*syncRound, callers)
	var work sync.WaitGroup
	for i := range rounds {
		work.Go(func() { rounds[i] = g.Begin() })
	}
	work.Wait()
	done := func(r *syncRound) bool {
		select {
		case <-r.done:
			return true
		default:
			return false
		}
	}
	if done(first) {
		t.Error("the first caller returned before its fsync ended")
	}
	b.end <- nil
	if err := first.Wait(); err != nil {
		t.Error(err)
	}

	if n := <-b.began; n != 2 {
		t.Errorf("fsync %d runs, want the second", n)
	}
	late := g.Begin()
	for i, r := range rounds {
		if r == first || r == late || done(r) {
			t.Errorf("caller %d is not covered by the fsync that began after its call", i)
		}
	}
	b.end <- nil
	for _, r := range rounds {
		if err := r.Wait(); err != nil {
			t.Error(err)
		}
	}
	<-b.began
	if done(late) {
		t.Error("who came during the second fsync returned with it")
	}
	b.end <- nil
	if err := late.Wait(); err != nil {
		t.Error(err)
	}
	if b.count != 3 {
		t.Errorf("%d fsyncs for 1, %d and 1 callers, want 3", b.count, callers)
	}
}

func TestSyncErrorIsToldToAllOfItsRound(t *testing.T) {
	b := newBlockingSync()
	g := groupSync{fsync: b.sync}
	first := g.Begin()
	<-b.began
	second := []*syncRound{g.Begin(), g.Begin(), g.Begin()}
	errFirst, errSecond := errors.New("first"), errors.New("second")
	b.end <- errFirst
	<-b.began
	third := g.Begin()
	b.end <- errSecond
	<-b.began
	b.end <- nil
	if err := first.Wait(); err != errFirst {
		t.Errorf("the first caller is told %v", err)
	}
	for i, r := range second {
		if err := r.Wait(); err != errSecond {
			t.Errorf("caller %d of the second round is told %v", i, err)
		}
	}
	if err := third.Wait(); err != nil {
		t.Errorf("the third round is told %v of an earlier one", err)
	}
	// Idle now: the next caller gets an fsync of its own.
	last := g.Begin()
	<-b.began
	b.end <- errFirst
	if err := last.Wait(); err != errFirst {
		t.Errorf("the last caller is told %v", err)
	}
}

// TestSyncCoversEveryCall lets many call at random and looks whether an fsync that
// began after each call ended before it returned.
func TestSyncCoversEveryCall(t *testing.T) {
	var began, ended atomic.Int64
	g := groupSync{fsync: func() error {
		n := began.Add(1)
		if !ended.CompareAndSwap(n-1, n) {
			return fmt.Errorf("fsync %d overlaps with another", n)
		}
		return nil
	}}
	const callers, each = 50, 200
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for range each {
				before := began.Load()
				if err := g.Begin().Wait(); err != nil {
					t.Error(err)
				}
				if after := ended.Load(); after <= before {
					t.Errorf("%d fsyncs had begun at the call, %d had ended when it returned", before, after)
				}
			}
		})
	}
	work.Wait()
	if n := began.Load(); n > callers*each {
		t.Errorf("%d fsyncs for %d calls", n, callers*each)
	}
}
