package report

import (
	"strings"
	"testing"
	"time"
)

func TestCopiesAreComparedRoundByRound(t *testing.T) {
	s := &CopySeries{CopyRow: CopyRow{Filesystem: "xfs", Operation: Snapshot}}
	for _, round := range []struct{ driver, floor time.Duration }{{10, 5}, {100, 90}, {20, 4}} {
		s.Add(round.driver*time.Millisecond, round.floor*time.Millisecond)
	}
	row := s.Row()
	for _, tc := range []struct {
		name      string
		got, want float64
	}{
		{"rounds", float64(row.Rounds), 3},
		{"median", row.Millis, 20},
		{"slowest", row.SlowestMillis, 100},
		{"floor", row.FloorMillis, 5},
		{"of floor", row.FloorRatio, 0.5},
	} {
		if !near(tc.got, tc.want) {
			t.Errorf("%s = %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

// fullCopies is a result that reaches every goal by a hair.
func fullCopies() *Copies {
	r := &Copies{}
	for _, fs := range []string{"btrfs", "xfs", "ext4", "tmpfs"} {
		for _, bytes := range []int64{1 << 20, goalBytes, largeBytes} {
			for _, op := range []string{Snapshot, Restore, Clone} {
				row := CopyRow{Filesystem: fs, Operation: op, Bytes: bytes, Files: 1, Millis: 10, FloorRatio: 0.90, Copies: fs == "ext4" || fs == "tmpfs"}
				if bytes == largeBytes {
					row.Millis = 20
				}
				if row.Copies {
					row.Millis = 5000
				}
				r.Rows = append(r.Rows, row)
			}
		}
		r.Rows = append(r.Rows, CopyRow{Filesystem: fs, Operation: Snapshot, Bytes: goalBytes, Files: 65536, Millis: 9999})
	}
	return r
}

func TestCopiesAreJudged(t *testing.T) {
	at := func(r *Copies, fs, op string, bytes int64) *CopyRow {
		for i, row := range r.Rows {
			if row.Filesystem == fs && row.Operation == op && row.Bytes == bytes && row.Files == 1 {
				return &r.Rows[i]
			}
		}
		t.Fatalf("no row of %s of %d on %s", op, bytes, fs)
		return nil
	}
	for _, tc := range []struct {
		name  string
		spoil func(*Copies)
		want  string
	}{
		{"all is reached", func(*Copies) {}, ""},
		{"a slow snapshot", func(r *Copies) { at(r, "xfs", Snapshot, goalBytes).Millis = 10.1 }, "snapshot of 256 MiB, xfs"},
		{"a slow restore", func(r *Copies) { at(r, "btrfs", Restore, goalBytes).Millis = 10.1 }, "restore of 256 MiB, btrfs"},
		{"slower with the size", func(r *Copies) { at(r, "xfs", Restore, largeBytes).Millis = 20.1 }, "restore of 4 GiB, xfs"},
		{"a slow copy", func(r *Copies) { at(r, "ext4", Clone, goalBytes).FloorRatio = 0.89 }, "clone of 256 MiB, ext4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := fullCopies()
			tc.spoil(r)
			r.Judge()
			if want := 2*2*2 + 3; len(r.Goals) != want {
				t.Errorf("%d goals, want %d: %+v", len(r.Goals), want, r.Goals)
			}
			missed := r.Missed()
			if tc.want == "" && len(missed) > 0 || tc.want != "" && (len(missed) != 1 || missed[0].What != tc.want) {
				t.Errorf("missed %+v, want %q alone", missed, tc.want)
			}
			var out strings.Builder
			if err := r.WriteTable(&out); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(out.String(), "  NO") != (tc.want != "") || !strings.Contains(out.String(), "On tmpfs") {
				t.Errorf("the table:\n%s", out.String())
			}
		})
	}
}
