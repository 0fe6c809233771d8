package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/engine"
)

func TestStore(t *testing.T) {
	dir, err := os.MkdirTemp("/var/tmp", "bench-test-") // on a disk, where /tmp may be in memory
	if err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	cmd := newCommand()
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	cmd.SetArgs([]string{"store", "--dir", dir, "--records=0,50", "--in-flight=1,4", "--ops=10", "--rounds=2"})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	for _, name := range engine.Names() {
		if n := strings.Count(out.String(), "\n  "+name+" ") + strings.Count(out.String(), "\n "+name+" "); n < 2 {
			t.Errorf("%d lines of %s, want 2:\n%s", n, name, out.String())
		}
	}
	if err := os.Remove(dir); err != nil {
		t.Errorf("something is left: %v", err)
	}
}
