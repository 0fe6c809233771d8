package engine

import (
	"errors"
	"fmt"
	"testing"
)

func TestStoresKeepWhatTheyAreGiven(t *testing.T) {
	const filled, ops = 500, 40
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := Work(t.Context(), Task{Store: name, Dir: dir, Fill: filled}); err != nil {
				t.Fatal(err)
			}
			// Work fails if a scan of the store, opened again, finds fewer than these.
			m, err := Work(t.Context(), Task{Store: name, Dir: dir, Records: filled, First: filled, Ops: ops, InFlight: []int{1, 8}})
			if err != nil {
				t.Fatal(err)
			}
			if len(m.Puts) != 2 || m.Puts[0].PerSecond <= 0 || m.RSS == 0 || m.DiskBytes == 0 {
				t.Errorf("not measured: %+v", m)
			}
			s, err := open(name, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Get(key(filled + 2*ops - 1)); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("the last record: %v", err)
			}
			if err := s.Get(key(filled + 2*ops)); err == nil {
				t.Error("a record that was never stored was found")
			}
		})
	}
}

func TestUnknownStore(t *testing.T) {
	if _, err := Work(t.Context(), Task{Store: "paper", Dir: t.TempDir()}); err == nil {
		t.Error("no error")
	}
}

func TestMedianIsOfEveryFigure(t *testing.T) {
	var rounds []Measured
	for _, x := range []float64{3, 1, 2} {
		rounds = append(rounds, Measured{OpenMillis: x, GetMicros: 10 * x, RSS: uint64(x), Puts: []Puts{{InFlight: 8, PerSecond: 100 * x}}})
	}
	m := median(rounds)
	if got, want := fmt.Sprint(m.OpenMillis, m.GetMicros, m.RSS, m.Puts), "2 20 2 [{8 200 0}]"; got != want {
		t.Errorf("median = %s, want %s", got, want)
	}
}
