package filesystem

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideEnv tells a process that it is in a mount namespace of its own.
const insideEnv = "FILESYSTEM_TEST_INSIDE"

// DropResources gives up CAP_SYS_RESOURCE, in the process that Main starts: with it, no
// limit of ext4 holds, and an ordinary pod's root has none.
func DropResources() {
	runtime.LockOSThread() // the bounding set is the thread's
	if os.Geteuid() != 0 {
		return // Main says so
	}
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_RESOURCE, 0, 0, 0); err != nil {
		panic(err)
	}
}

// Main is for a TestMain: it runs the tests in a mount namespace of their own, so
// that nothing they mount is seen outside, or left, however they end. Afterwards it
// calls the functions in after.
func Main(m *testing.M, after ...func()) {
	switch {
	case os.Getenv(insideEnv) != "":
		code := m.Run()
		for _, f := range after {
			f()
		}
		os.Exit(code)
	case os.Geteuid() != 0:
		fmt.Fprintln(os.Stderr, "these tests mount filesystems: run them as root (CAP_SYS_ADMIN)")
		os.Exit(1)
	}
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the child
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Unsharing the mount namespace makes every mount in it private (package os/exec).
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "running the tests in a mount namespace of their own:", err)
	os.Exit(1)
}
