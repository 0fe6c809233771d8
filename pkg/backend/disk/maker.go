package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// maker is a program that makes filesystems.
type maker struct {
	program, pkg string
	args         []string
}

// makeTime bounds a run: nothing is written but the filesystem's own structures.
const makeTime = 10 * time.Minute

// find returns an error if the program is not installed.
func (m maker) find() error {
	_, err := m.path()
	return err
}

// path looks for the program where root's programs are, which PATH may leave out.
func (m maker) path() (string, error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/local/sbin", "/usr/sbin", "/sbin") {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, m.program)); err == nil {
			return path, nil
		}
	}
	return "", notReady("%s is missing, which formats a pool's disk once: install the package %s", m.program, m.pkg)
}

// run formats what f is open on: the program opens that by its descriptor, whatever
// becomes of its name. When it returns nil, the filesystem is whole, but not durable.
func (m maker) run(ctx context.Context, f *os.File) error {
	path, err := m.path()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append(append([]string{}, m.args...), "/proc/self/fd/3")...)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	// It ends with this process, so that the next one finds nobody at work. Pdeathsig is
	// about the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("%s was stopped", m.program), ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", m.program, err, lastLines(out.String()))
	}
	return nil
}

// lastLines is the end of what a program said, in one line.
func lastLines(out string) string {
	const most = 300
	s := strings.Join(strings.Fields(out), " ")
	return s[max(0, len(s)-most):]
}
