package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/engine"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/fakecsi"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/floor"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// refuse names, in the environment, the call that the fake driver refuses.
const refuse = "FAKECSI_REFUSE"

// TestMain makes the test binary what the tests start: the floor's worker, and a
// driver with the command line of hostpath-csi.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case runWorkerCommand, copiesWorkerCommand, floor.WorkerCommand, engine.WorkerCommand:
			main()
			return
		case "standalone":
			if err := standalone(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

func standalone(args []string) error {
	flags := flag.NewFlagSet("standalone", flag.ContinueOnError)
	endpoint := flags.String("endpoint", "", "")
	for _, name := range []string{"node-id", "state-dir", "pool"} {
		flags.String(name, "", "")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	socket := strings.TrimPrefix(*endpoint, "unix://")
	return (&fakecsi.Driver{NotReady: 2, Refuse: os.Getenv(refuse)}).Serve(ctx, socket)
}

// bench runs a command of this program, in a directory that it has to leave empty.
func bench(t *testing.T, ctx context.Context, command string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts, and needs root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "bench-test-") // on a disk, where /tmp may be in memory
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Remove(dir); err != nil {
			t.Errorf("something is left: %v", err)
		}
	}()
	var out, progress bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	cmd.SetArgs(append([]string{command, "--dir", dir}, args...))
	err = cmd.ExecuteContext(ctx)
	return out.String(), progress.String(), err
}

// benchFake measures the fake driver, which this program is, too.
func benchFake(t *testing.T, ctx context.Context, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench(t, ctx, "run", append([]string{"--driver", self}, args...)...)
}

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "result.json")
	stdout, stderr, err := benchFake(t, t.Context(), "--existing=0,150", "--in-flight=1,8", "--ops=20", "--rounds=2", "--restarts=0", "--json", file)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{"fake.example.com", "With 150 volumes existing", "full cycles, 8 in flight", "create among 150 volumes"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table does not show %q:\n%s", want, stdout)
		}
	}
	var result report.Result
	if raw, err := os.ReadFile(file); err != nil {
		t.Fatal(err)
	} else if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatal(err)
	}
	if want := 10 * 2 * 2; len(result.Rows) != want {
		t.Errorf("%d rows, want %d", len(result.Rows), want)
	}
	for _, row := range result.Rows {
		if row.PerSecond <= 0 || row.P50Micros <= 0 || row.P99Micros < row.P50Micros {
			t.Errorf("not measured: %+v", row)
		}
		switch row.Operation {
		case report.Create, report.Publish, report.Stats, report.Unpublish, report.Delete, report.Cycle:
			if row.FloorRatio <= 0 {
				t.Errorf("no floor: %+v", row)
			}
		}
	}
	if len(result.Populations) != 1 || result.Populations[0].To != 150 || result.Populations[0].PerSecond <= 0 {
		t.Errorf("populations: %+v", result.Populations)
	}
	for _, m := range result.Memory {
		if m.RSS == 0 || m.Anonymous == 0 {
			t.Errorf("memory: %+v", m)
		}
	}
}

func TestStrictFailsWhenAGoalIsMissed(t *testing.T) {
	// The fake driver answers one call at a time and starts nowhere near 40 times the reference's stats at once.
	stdout, _, err := benchFake(t, t.Context(), "--existing=0", "--in-flight=1", "--ops=20", "--rounds=1", "--restarts=0", "--strict")
	missed := strings.Contains(stdout, "  NO")
	if failed := err != nil && strings.Contains(err.Error(), "goals missed"); failed != missed {
		t.Errorf("error %v; goals missed: %v\n%s", err, missed, stdout)
	}
}

func TestARefusedCallFailsTheRun(t *testing.T) {
	t.Setenv(refuse, csi.Node_NodeUnpublishVolume_FullMethodName)
	_, _, err := benchFake(t, t.Context(), "--quick")
	if err == nil || !strings.Contains(err.Error(), "NodeUnpublishVolume of b-0-32-0-") {
		t.Errorf("error %v, want one of NodeUnpublishVolume", err)
	}
}

func TestADriverThatForgetsFailsTheRun(t *testing.T) {
	_, stderr, err := benchFake(t, t.Context(), "--existing=5", "--in-flight=1", "--ops=5", "--rounds=1", "--restarts=1")
	if !strings.Contains(stderr, "With 5 volumes existing") {
		t.Errorf("what was measured before is not shown:\n%s", stderr)
	}
	if err == nil || !strings.Contains(err.Error(), "lists 0 volumes; 5 exist") {
		t.Errorf("error %v, want one that says that 5 volumes are gone", err)
	}
}

func TestInterruptedRunLeavesNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // in the midst of it
	defer cancel()
	if _, _, err := benchFake(t, ctx, "--rounds=1000", "--filesystem=ext4"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestBadFlagsAreNamed(t *testing.T) {
	_, _, err := benchFake(t, t.Context(), "--existing=5,1", "--ops=0")
	if err == nil || !strings.Contains(err.Error(), "--existing") || !strings.Contains(err.Error(), "--ops") {
		t.Errorf("error %v, want one that names --existing and --ops", err)
	}
}
