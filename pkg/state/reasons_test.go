package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestReasonOf(t *testing.T) {
	full := Errorf(NoSpace, "the pool is full")
	for _, test := range []struct {
		name string
		err  error
		want Reason
	}{
		{"no error", nil, ""},
		{"an error without a reason", errors.New("x"), Defect},
		{"an error with one", full, NoSpace},
		{"wrapped", fmt.Errorf("creating: %w", full), NoSpace},
		{"the outermost of two", Errorf(Busy, "creating: %w", full), Busy},
		{"joined", errors.Join(errors.New("x"), full), NoSpace},
		{"a deadline", fmt.Errorf("waiting: %w", context.DeadlineExceeded), TimedOut},
		{"a caller that went away", fmt.Errorf("waiting: %w", context.Canceled), Canceled},
		{"a deadline that was given another reason", Errorf(Unavailable, "x: %w", context.DeadlineExceeded), Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := ReasonOf(test.err); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestErrorfKeepsWhatItWraps(t *testing.T) {
	err := Errorf(Lost, "opening %s: %w", "a", fs.ErrNotExist)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the wrapped error is not found")
	}
	if want := "opening a: file does not exist"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestReasonsAreDistinct(t *testing.T) {
	seen := make(map[Reason]bool)
	for _, r := range Reasons() {
		if r == "" || seen[r] {
			t.Errorf("reason %q is empty or listed twice", r)
		}
		seen[r] = true
	}
}
