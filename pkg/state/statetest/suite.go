// Package statetest is the one suite that every state.Store passes.
package statetest

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Open returns a new, empty store, and closes it when t ends. A store that the test
// has closed itself is to be left alone.
type Open func(t *testing.T) state.Store

// An Option tells what else a store can do.
type Option func(*suite)

// Reopen says how a store is closed and opened again, with what it held.
func Reopen(reopen func(t *testing.T, s state.Store) state.Store) Option {
	return func(s *suite) { s.reopen = reopen }
}

// Run runs the whole suite.
func Run(t *testing.T, open func(t *testing.T) state.Store, options ...Option) {
	s := &suite{open: open}
	for _, option := range options {
		option(s)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, state.Store)
	}{
		{"a record reads back as it was created", createGet},
		{"what is known is what there is, where nobody else writes", known},
		{"an ID is taken until its record is finalized", createTaken},
		{"an ID that cannot be one names no record", hostileIDs},
		{"a name of any bytes is kept whole", hostileNames},
		{"the generation counts the changes of what shall be", generations},
		{"spec and status do not touch each other", halves},
		{"a change that fails stores nothing", failingChange},
		{"a change of nothing is none", emptyChange},
		{"a record that is missing cannot be changed", missing},
		{"a deletion is asked for, then finished", deleteFinalize},
		{"a second deletion changes nothing", deleteTwice},
		{"a record that shall go cannot be given another spec", deletedSpec},
		{"a deletion can be taken back", keep},
		{"finalize leaves a later life alone", finalizeOtherLife},
		{"objects are the caller's own", copies},
		{"the kinds do not see each other", kinds},
		{"node IDs may be any that CSI allows", nodeIDs},

		{"a list is ordered by ID", listOrder},
		{"pages make up the list", listPages},
		{"a page begins behind an ID that need not exist", listAfter},
		{"records that come and go between pages neither hide nor repeat another", listMoving},

		{"concurrent updates of one record lose none", concurrentUpdates},
		{"of concurrent creations of one ID one succeeds", concurrentCreates},
		{"await returns what is there already", awaitAtOnce},
		{"await misses no change", awaitConcurrently},
		{"await ends with the record", awaitMissing},
		{"await ends with its context", awaitCanceled},
		{"await gone sees the end of a life", awaitGone},
		{"await gone is not held up by the next life", awaitGoneReborn},
		{"wake tells of every change until it is stopped", wake},
		{"a watch sees every change", watch},
		{"a watch sees the last of many changes", watchLast},
		{"a watch sees that a record is gone", watchGone},
		{"a watch that is not read holds nobody up", watchSlow},
		{"a watch ends with its context", watchCanceled},
		{"a watch ends with the store", watchClosed},

		{"a call with a context that ended does nothing", canceled},
		{"a store is healthy", healthy},
		{"a store has a UUID", uuid},
		{"a closed store is unavailable", closed},
		{"closing waits for the calls in flight", closeConcurrently},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
	t.Run("a store does what a map would do", s.model)
	if s.reopen != nil {
		t.Run("what was answered is there after a restart", s.restart)
	}
}

type suite struct {
	open   Open
	reopen func(t *testing.T, s state.Store) state.Store
}

// patience bounds what must happen soon; only a failing test waits that long.
const patience = 30 * time.Second

// soon returns a context for what must happen soon.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func spec(name string) state.VolumeSpec {
	return state.VolumeSpec{Name: name, Node: "node-1", Pool: "default", CapacityBytes: 1 << 30, AccessType: state.MountAccess, Mode: 0o777}
}

func mustCreate(t *testing.T, s state.Store, id string) state.Volume {
	t.Helper()
	v, err := s.Volumes().Create(soon(t), id, spec(id))
	if err != nil {
		t.Fatalf("creating %q: %v", id, err)
	}
	return v
}

func mustGet(t *testing.T, s state.Store, id string) state.Volume {
	t.Helper()
	v, err := s.Volumes().Get(soon(t), id)
	if err != nil {
		t.Fatalf("getting %q: %v", id, err)
	}
	return v
}

func mustSetPhase(t *testing.T, s state.Store, id string, phase state.Phase) state.Volume {
	t.Helper()
	v, err := s.Volumes().UpdateStatus(soon(t), id, func(u *state.VolumeStatus) error { u.Phase = phase; return nil })
	if err != nil {
		t.Fatalf("making %q %s: %v", id, phase, err)
	}
	return v
}

func mustDelete(t *testing.T, s state.Store, id string) {
	t.Helper()
	if err := s.Volumes().Delete(soon(t), id); err != nil {
		t.Fatalf("deleting %q: %v", id, err)
	}
}

func mustFinalize(t *testing.T, s state.Store, v state.Volume) {
	t.Helper()
	if err := s.Volumes().Finalize(soon(t), v.ID, v.UID); err != nil {
		t.Fatalf("finalizing %q: %v", v.ID, err)
	}
}

func wantReason(t *testing.T, want state.Reason, err error) {
	t.Helper()
	if got := state.ReasonOf(err); got != want {
		t.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func wantSame[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func wantIDs(t *testing.T, list []state.Volume, want ...string) {
	t.Helper()
	var got []string
	for _, v := range list {
		got = append(got, v.ID)
	}
	wantSame(t, got, want)
}

func number(prefix string, i int) string { return prefix + "-" + strconv.Itoa(i) }

var errChange = errors.New("the change failed")
