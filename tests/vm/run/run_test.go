//go:build quotavm

package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun: what the command says and how it ends comes through, and a machine that dies
// is never taken for a success.
func TestRun(t *testing.T) {
	runner := filepath.Join(t.TempDir(), "vmrun")
	if out, err := exec.Command("go", "build", "-o", runner, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // parts of them
	}{
		{"success", []string{"--", "true"}, 0, "", ""},
		{"exit code", []string{"--", "sh", "-c", "exit 7"}, 7, "", ""},
		{"output", []string{"--", "sh", "-c", "echo one; echo two >&2"}, 0, "one\ntwo\n", ""},
		{"much output", []string{"--", "seq", "100000"}, 0, "\n99999\n100000\n", ""},
		{"directory", []string{"--", "ls", "guest.go"}, 0, "guest.go\n", ""},
		{"killed command", []string{"--", "sh", "-c", "kill -9 $$"}, 128 + 9, "", "signal: killed"},
		{"shim", []string{"-shim", "--", "sh", "-c", "ls / >/dev/null"}, 0, "", ""},
		{"panic", []string{"--", "sh", "-c", "echo c >/proc/sysrq-trigger"}, exitDead, "", "Kernel panic"},
		{"hang", []string{"-timeout", "3s", "--", "sleep", "60"}, exitDead, "", "did not end within 3s"},
		{"too little memory", []string{"-memory", "4M", "--", "true"}, exitDead, "", "vmrun:"},
		{"no kernel", []string{"-kernel", "nosuch", "--", "true"}, exitDead, "", "nosuch"},
		{"no command", []string{"--", "nosuch"}, exitDead, "", "nosuch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(runner, c.args...)
			var stdout, stderr strings.Builder
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			var exit *exec.ExitError
			if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("said %q and %q; want %q and %q", stdout.String(), stderr.String(), c.stdout, c.stderr)
			}
		})
	}
}
