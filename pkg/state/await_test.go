package state

import (
	"context"
	"errors"
	"testing"
)

// script is the reading half of a store that holds one volume after the other, each
// from when the one before was read. It wakes whoever waits each time.
type script struct {
	Records[VolumeSpec, VolumeStatus]
	states  []Volume // a volume without an ID: there is none
	woken   chan struct{}
	asleep  bool // nobody has subscribed, or not any more
	stopped int
}

func newScript(states ...Volume) *script {
	return &script{states: states, woken: make(chan struct{}, 1), asleep: true}
}

func (s *script) Wake(string) (<-chan struct{}, func()) {
	s.asleep = false
	return s.woken, func() { s.stopped++ }
}

func (s *script) Get(ctx context.Context, id string) (Volume, error) {
	if s.asleep {
		return Volume{}, errors.New("read before subscribing: a change in between would be missed")
	}
	v := s.states[0]
	if len(s.states) > 1 {
		s.states = s.states[1:]
		s.woken <- struct{}{}
	}
	if v.ID == "" {
		return v, Errorf(NotFound, "there is no volume %q", id)
	}
	return v, nil
}

func volume(uid string, phase Phase) Volume {
	return Volume{Meta: Meta{ID: "a", UID: uid}, Status: VolumeStatus{Phase: phase}}
}

var (
	errDone = errors.New("done failed")
	gone    Volume
)

func ready(v Volume) (bool, error) {
	if v.Status.Phase == Failed {
		return false, errDone
	}
	return v.Status.Phase == Ready, nil
}

func TestAwait(t *testing.T) {
	for _, test := range []struct {
		name   string
		states []Volume
		phase  Phase
		err    error
		reason Reason
	}{
		{"at once", []Volume{volume("1", Ready)}, Ready, nil, ""},
		{"after a change", []Volume{volume("1", Pending), volume("1", Ready)}, Ready, nil, ""},
		{"after many", []Volume{volume("1", ""), volume("1", Pending), volume("1", Deleting), volume("1", Ready)}, Ready, nil, ""},
		{"done fails", []Volume{volume("1", Pending), volume("1", Failed)}, Failed, errDone, Defect},
		{"there is none", []Volume{gone}, "", nil, NotFound},
		{"it ends", []Volume{volume("1", Pending), gone}, "", nil, NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(test.states...)
			v, err := Await(t.Context(), s, "a", ready)
			if ReasonOf(err) != test.reason || test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("got error %v", err)
			}
			if v.Status.Phase != test.phase {
				t.Errorf("got phase %q, want %q", v.Status.Phase, test.phase)
			}
			if s.stopped != 1 {
				t.Errorf("unsubscribed %d times", s.stopped)
			}
		})
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v, err := Await(ctx, newScript(volume("1", Pending)), "a", func(Volume) (bool, error) { cancel(); return false, nil })
	if ReasonOf(err) != Canceled || v.UID != "1" {
		t.Errorf("got %+v, %v; want the last volume and reason %s", v, err, Canceled)
	}
}

func TestAwaitGone(t *testing.T) {
	refused := func(v Volume) error {
		if v.Status.Phase == Failed {
			return errDone
		}
		return nil
	}
	for _, test := range []struct {
		name   string
		states []Volume
		done   func(Volume) error
		want   error
	}{
		{"there is none", []Volume{gone}, nil, nil},
		{"it ends", []Volume{volume("1", Ready), volume("1", Deleting), gone}, nil, nil},
		{"another life began", []Volume{volume("1", Deleting), volume("2", Pending)}, refused, nil},
		{"done is content", []Volume{volume("1", Deleting), gone}, refused, nil},
		{"done fails", []Volume{volume("1", Deleting), volume("1", Failed)}, refused, errDone},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := AwaitGone(t.Context(), newScript(test.states...), "a", "1", test.done); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
