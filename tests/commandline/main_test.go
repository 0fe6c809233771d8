// Package commandline runs the commands that look at a machine as an operator does:
// beside a driver that works, after one that died, and on a terminal.
package commandline

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/creack/pty"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.RemoveBinaries()
	os.Exit(code)
}

func TestCommandsWorkBesideADriverAndAfterOne(t *testing.T) {
	d := process.Start(t, process.Options{})
	create(t, d, "data")
	target := d.Dir + "/target"
	_, err := d.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{VolumeId: "data", TargetPath: target, VolumeCapability: mount()})
	must(t, err)
	look := func(when string) {
		t.Helper()
		out := run(t, nil, "volumes", "-o", "wide", "--pool", "default="+d.PoolDir())
		for _, want := range []string{"shop/data-db-0", "64 MiB", "Healthy", d.PoolDir() + "/volumes/data", target} {
			if !strings.Contains(out, want) {
				t.Errorf("%s, volumes does not tell of %q:\n%s", when, want, out)
			}
		}
		if out := run(t, []string{"HOSTPATH_CSI_POOL=default=" + d.PoolDir()}, "pools", "-o", "yaml"); !strings.Contains(out, "volumes: 1\n") || !strings.Contains(out, "allocatedBytes: 67108864\n") {
			t.Errorf("%s, pools tells:\n%s", when, out)
		}
	}
	look("beside the driver")
	d.Kill()
	look("after the driver")
}

func TestColorsAreForTerminals(t *testing.T) {
	d := process.Start(t, process.Options{})
	create(t, d, "data")
	args := []string{"pools", "--pool", "default=" + d.PoolDir()}
	const escape = "\x1b["
	if out := onTerminal(t, nil, args...); !strings.Contains(out, escape+"32mHealthy"+escape+"0m") || !strings.Contains(out, "█") && !strings.Contains(out, "░") {
		t.Errorf("a terminal is shown:\n%q", out)
	}
	for name, env := range map[string][]string{"NO_COLOR": {"NO_COLOR=1"}, "a dumb terminal": {"TERM=dumb"}} {
		if out := onTerminal(t, env, args...); strings.Contains(out, escape) || !strings.Contains(out, "Healthy") {
			t.Errorf("%s: a terminal is shown:\n%q", name, out)
		}
	}
	if out := run(t, nil, args...); strings.Contains(out, escape) || !strings.Contains(out, "Healthy") {
		t.Errorf("a pipe is given:\n%q", out)
	}
	// What is counted is told while it is counted, and wiped away.
	if out := onTerminal(t, nil, "du", "--pool", "default="+d.PoolDir()); !strings.Contains(out, "counting data\r"+escape+"K") {
		t.Errorf("du shows:\n%q", out)
	}
	if out := run(t, nil, "du", "--pool", "default="+d.PoolDir()); strings.Contains(out, "counting") {
		t.Errorf("du gives a pipe:\n%q", out)
	}
}

func create(t *testing.T, d *process.Driver, name string, parameters ...string) {
	t.Helper()
	given := map[string]string{"csi.storage.k8s.io/pvc/namespace": "shop", "csi.storage.k8s.io/pvc/name": "data-db-0", "csi.storage.k8s.io/pv/name": name}
	for i := 0; i < len(parameters); i += 2 {
		given[parameters[i]] = parameters[i+1]
	}
	_, err := d.CreateVolume(t.Context(), &csi.CreateVolumeRequest{Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: 64 << 20},
		VolumeCapabilities: []*csi.VolumeCapability{mount()},
		Parameters:         given})
	must(t, err)
}

func mount() *csi.VolumeCapability {
	return &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}
}

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(process.Binary(t, ""), args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm", "NO_COLOR="), env...)
	return cmd
}

func run(t *testing.T, env []string, args ...string) string {
	t.Helper()
	out, err := command(t, env, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("hostpath-csi %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// onTerminal runs the program with a terminal and returns all that it wrote on it.
func onTerminal(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := command(t, env, args...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 120})
	must(t, err)
	defer terminal.Close()
	out, err := io.ReadAll(terminal)
	if !errors.Is(err, syscall.EIO) { // which a terminal says whose last process has ended
		must(t, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("hostpath-csi %q on a terminal: %v\n%s", args, err, out)
	}
	return string(out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
