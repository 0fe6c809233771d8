package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// anyUUID is what differs from one run to the next.
var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// checkGolden compares what was printed with testdata/NAME.golden.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	got = anyUUID.ReplaceAllString(got, "00000000-0000-0000-0000-000000000000")
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("printed:\n%s\n%s has:\n%s\n(go test ./cmd/hostpath-csi -update writes it)", got, path, want)
	}
}

// execute runs the program with arguments and returns what it printed.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := newRootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

// mustExecute is execute for what is to succeed.
func mustExecute(t *testing.T, args ...string) string {
	t.Helper()
	out, err := execute(t, args...)
	if err != nil {
		t.Fatalf("hostpath-csi %s: %v", strings.Join(args, " "), err)
	}
	return out
}
