package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// buildDriver builds the real driver: only a real one copies.
func buildDriver(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hostpath-csi")
	cmd := exec.Command("go", "build", "-C", "../..", "-trimpath", "-buildvcs=false", "-o", path, "./cmd/hostpath-csi")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the driver: %v\n%s", err, out)
	}
	return path
}

func TestCopies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	stdout, stderr, err := bench(t, t.Context(), "copies", "--driver", buildDriver(t), "--sizes=1048576", "--files=50", "--creates=2", "--rounds=2",
		"--image-size=1073741824", "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{"On btrfs", "On xfs", "On ext4", "On tmpfs", "create, limited", "50 files"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table does not show %q:\n%s", want, stdout)
		}
	}
	var result report.Copies
	if raw, err := os.ReadFile(file); err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatal(err)
	}
	if want := 4 * (1 + 2*3); len(result.Rows) != want {
		t.Errorf("%d rows, want %d", len(result.Rows), want)
	}
	for _, row := range result.Rows {
		if row.Rounds != 2 || row.Millis <= 0 || row.SlowestMillis < row.Millis || row.FloorMillis <= 0 || row.FloorRatio <= 0 {
			t.Errorf("not measured: %+v", row)
		}
	}
}

func TestADriverThatDoesNotCopyFailsTheRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = bench(t, t.Context(), "copies", "--driver", self, "--quick", "--filesystems=tmpfs")
	if err == nil || !strings.Contains(err.Error(), "on tmpfs: ") {
		t.Errorf("error %v, want one of tmpfs: the fake driver has no pool", err)
	}
}

func TestBadFlagsOfCopiesAreNamed(t *testing.T) {
	_, _, err := bench(t, t.Context(), "copies", "--filesystems=zfs", "--sizes=1", "--files=1", "--creates=0", "--rounds=0")
	for _, flag := range []string{"--filesystems", "--sizes", "--files", "--creates", "--rounds"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("error %v, want one that names %s", err, flag)
		}
	}
}
