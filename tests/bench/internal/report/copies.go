package report

import (
	"fmt"
	"io"
	"time"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/machine"
)

// What is measured of copies, beside Create.
const (
	CreateLimited = "create, limited"
	Snapshot      = "snapshot"
	Restore       = "restore"
	Clone         = "clone"
)

// Copies is everything that one run measured of snapshots, restores and clones.
type Copies struct {
	Machine machine.Facts `json:"machine"`
	Driver  string        `json:"driver"`
	Rows    []CopyRow     `json:"rows"`
	Goals   []Goal        `json:"goals"`
}

// CopyRow is one operation on one filesystem. Times are medians over the rounds.
type CopyRow struct {
	Filesystem string `json:"filesystem"`
	Operation  string `json:"operation"`
	// Bytes and Files are what is copied.
	Bytes         int64   `json:"bytes"`
	Files         int     `json:"files"`
	Rounds        int     `json:"rounds"`
	Millis        float64 `json:"millis"`
	SlowestMillis float64 `json:"slowestMillis"`
	FloorMillis   float64 `json:"floorMillis"`
	// FloorRatio is the floor's time by the driver's, the median of all pairs: 1 is as
	// fast as can be.
	FloorRatio float64 `json:"floorRatio"`
	// Copies: bytes are copied here, and not shared.
	Copies bool `json:"copies"`
}

// CopySeries collects one row, round by round.
type CopySeries struct {
	CopyRow
	driver, floor []float64
}

// Add adds a round.
func (s *CopySeries) Add(driver, floor time.Duration) {
	s.driver = append(s.driver, float64(driver)/float64(time.Millisecond))
	s.floor = append(s.floor, float64(floor)/float64(time.Millisecond))
}

// Row sums the series up.
func (s *CopySeries) Row() CopyRow {
	r := s.CopyRow
	r.Rounds, r.Millis, r.FloorMillis, r.FloorRatio = len(s.driver), load.Median(s.driver), load.Median(s.floor), load.MedianRatio(s.floor, s.driver)
	for _, ms := range s.driver {
		r.SlowestMillis = max(r.SlowestMillis, ms)
	}
	return r
}

// The goals of copies.
const (
	goalBytes      = 256 << 20
	largeBytes     = 4 << 30
	sharedMillis   = 10
	largeByGoal    = 2.0 // a file 16 times as large takes no longer than so many times as long
	copyRateOfDisk = 0.90
)

// Judge fills in the goals from what was measured.
func (r *Copies) Judge() {
	r.Goals = nil
	for _, row := range r.Rows {
		if row.Bytes != goalBytes || row.Files != 1 {
			continue
		}
		what := fmt.Sprintf("%s of %s, %s", row.Operation, size(row), row.Filesystem)
		switch {
		case row.Filesystem == "ext4":
			r.Goals = append(r.Goals, newGoal(what, atLeast, copyRateOfDisk, row.FloorRatio, "of the disk's rate"))
		case !row.Copies && row.Operation != Clone:
			r.Goals = append(r.Goals, newGoal(what, atMost, sharedMillis, row.Millis, "ms"))
			if large, ok := r.row(row.Filesystem, row.Operation, largeBytes); ok {
				r.Goals = append(r.Goals, newGoal(fmt.Sprintf("%s of %s, %s", row.Operation, size(large), row.Filesystem),
					atMost, largeByGoal, large.Millis/row.Millis, "times that of 256 MiB"))
			}
		}
	}
}

func (r *Copies) row(filesystem, operation string, bytes int64) (CopyRow, bool) {
	for _, row := range r.Rows {
		if row.Filesystem == filesystem && row.Operation == operation && row.Bytes == bytes && row.Files == 1 {
			return row, true
		}
	}
	return CopyRow{}, false
}

// Empty tells that nothing was measured yet.
func (r *Copies) Empty() bool { return len(r.Rows) == 0 }

// Missed returns the goals that were not reached.
func (r *Copies) Missed() []Goal { return missed(r.Goals) }

// size tells what a row copies.
func size(row CopyRow) string {
	switch {
	case row.Files > 1:
		return fmt.Sprintf("%d files", row.Files)
	case row.Bytes == 0:
		return "-"
	case row.Bytes >= 1<<30:
		return fmt.Sprintf("%d GiB", row.Bytes>>30)
	}
	return fmt.Sprintf("%d MiB", row.Bytes>>20)
}

// WriteTable shows the result to people.
func (r *Copies) WriteTable(w io.Writer) error {
	p := &printer{w: w}
	p.printf("%s\n%s\n", r.Driver, r.Machine)
	for i, row := range r.Rows {
		if i > 0 && r.Rows[i-1].Filesystem == row.Filesystem {
			continue
		}
		p.printf("\nOn %s\n\n", row.Filesystem)
		p.copies(r.Rows, row.Filesystem)
	}
	if len(r.Goals) > 0 {
		p.printf("\nGoals\n\n")
		p.goals(r.Goals)
	}
	return p.err
}

func (p *printer) copies(rows []CopyRow, filesystem string) {
	p.columns(func(t *printer) {
		t.printf("%-15s\tof\trounds\tms\tslowest ms\tfloor ms\tof floor\tMiB/s\t\n", "operation")
		for _, row := range rows {
			if row.Filesystem != filesystem {
				continue
			}
			rate := 0.0
			if row.Copies && row.Files == 1 && row.Millis > 0 {
				rate = float64(row.Bytes) / bytesPerMiB / row.Millis * 1e3
			}
			t.printf("%-15s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t\n", row.Operation, size(row), row.Rounds, Number(row.Millis),
				Number(row.SlowestMillis), Number(row.FloorMillis), Number(row.FloorRatio), Number(rate))
		}
	})
}
