package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

//go:embed shim/xsave.c
var shimSource []byte

// largeXSAVE tells whether the processor's register file is larger than
// user-mode-linux before 6.13 allows for: then the shim is needed. The feature that
// makes it so is AMX, whose tiles take 8 KiB.
func largeXSAVE() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && regexp.MustCompile(`(?m)^flags\s*:.*\bamx_tile\b`).Match(b)
}

// buildShim compiles the shim into dir, as a library to preload.
func buildShim(dir string) (library string, err error) {
	source := filepath.Join(dir, "shim.c")
	library = filepath.Join(dir, "shim.so")
	if err := os.WriteFile(source, shimSource, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("this processor's XSAVE area is larger than user-mode-linux expects, and compiling the shim for that failed: %w\n%s", err, out)
	}
	return library, nil
}
