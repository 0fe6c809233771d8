package commandline

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// tmux is a terminal emulator with a shell in it, which is typed into and looked at.
type tmux struct {
	*testing.T
	socket string
}

func newTmux(t *testing.T, columns, rows int, env ...string) *tmux {
	t.Helper()
	w := &tmux{t, filepath.Join(process.TempDir(t), "tmux")}
	cmd := exec.Command("tmux", "-u", "-f", "/dev/null", "-S", w.socket, "new-session", "-d", "-s", "test", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows), "/bin/sh")
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C.UTF-8", "TERM=xterm-256color", "PS1=# ", "ENV=", "NO_COLOR=", "PATH=" + filepath.Dir(process.Binary(t, "")) + ":" + os.Getenv("PATH")}, env...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux (scripts/install-deps.sh installs it): %v\n%s", err, out)
	}
	t.Cleanup(func() { w.do("kill-server") })
	w.awaitsPrompt()
	return w
}

func (w *tmux) do(args ...string) string {
	w.Helper()
	out, err := exec.Command("tmux", append([]string{"-u", "-S", w.socket}, args...)...).CombinedOutput()
	if err != nil {
		w.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// enter types a line.
func (w *tmux) enter(line string) {
	w.Helper()
	w.do("send-keys", "-t", "test", "-l", line)
	w.do("send-keys", "-t", "test", "Enter")
}

// screen returns what is to be seen; colored, with the escapes that made it so.
func (w *tmux) screen(colored bool) string {
	w.Helper()
	args := []string{"capture-pane", "-p", "-t", "test"}
	if colored {
		args = append(args, "-e")
	}
	return w.do(args...)
}

// awaits waits until something is to be seen.
func (w *tmux) awaits(want string) {
	w.Helper()
	process.Eventually(w, "the terminal shows "+want, func() error {
		if seen := w.screen(false); !strings.Contains(seen, want) {
			return fmt.Errorf("it shows:\n%s", seen)
		}
		return nil
	})
}

// clear has the shell wipe the screen: what is to be seen next was not there before.
func (w *tmux) clear() {
	w.Helper()
	w.enter("clear")
	w.awaitsPrompt()
}

// awaitsPrompt waits until the shell's prompt, root's, is all that is to be seen.
func (w *tmux) awaitsPrompt() {
	w.Helper()
	process.Eventually(w, "the terminal is empty", func() error {
		if seen := w.screen(false); strings.TrimSpace(seen) != "#" {
			return fmt.Errorf("it shows:\n%s", seen)
		}
		return nil
	})
}

// TestAnOperatorsTerminal goes through what an operator does with a pool that has an orphan in it, on
// a screen.
func TestAnOperatorsTerminal(t *testing.T) {
	d := process.Start(t, process.Options{})
	create(t, d, "data")
	stray := filepath.Join(d.PoolDir(), "volumes", "stray")
	must(t, os.Mkdir(stray, 0o755))
	w := newTmux(t, 160, 50, "HOSTPATH_CSI_POOL=default="+d.PoolDir(), "HOSTPATH_CSI_ENDPOINT="+d.Endpoint())
	program := filepath.Base(process.Binary(t, ""))

	w.enter(program + " pools")
	w.awaits("Healthy")
	seen, colored := w.screen(false), w.screen(true)
	column := map[string]int{}
	for line := range strings.SplitSeq(seen, "\n") {
		for _, word := range []string{"HEALTH", "Healthy"} {
			if before, _, ok := strings.Cut(line, word); ok {
				column[word] = utf8.RuneCountInString(before)
			}
		}
	}
	if len(column) != 2 || column["HEALTH"] != column["Healthy"] {
		t.Errorf("the columns are not in line:\n%s", seen)
	}
	if !strings.Contains(colored, "\x1b[32mHealthy") || !strings.Contains(seen, "░") {
		t.Errorf("it has no color, or no bar:\n%q", colored)
	}
	w.clear()
	w.enter(program + " orphans remove --all")
	w.awaits("Go on? [y/N]")
	w.enter("no")
	w.awaits("nothing is done")
	_, err := os.Lstat(stray)
	must(t, err)
	w.clear()
	w.enter(program + " orphans remove --all")
	w.awaits("Go on? [y/N]")
	w.enter("y")
	w.awaits("default/volumes/stray goes")
	w.enter(program + " orphans ls")
	w.awaits("no orphans")
	w.clear()
	w.enter(program + " du; echo status $?")
	w.awaits("status 0")
	if seen := w.screen(false); strings.Contains(seen, "counting") || !strings.Contains(seen, "shop/data-db-0") {
		t.Errorf("what was told while it counted is still there:\n%s", seen)
	}
}
