package mount

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

const (
	insideEnv = "MOUNT_TEST_INSIDE" // the process is in a mount namespace of its own
	euidEnv   = "MOUNT_TEST_EUID"   // the process shall only tell its effective user ID
)

// TestMain runs the tests in a mount namespace of their own, so that nothing they
// mount is seen outside, or left, however they end.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(euidEnv) != "":
		fmt.Print(strconv.Itoa(os.Geteuid()))
		os.Exit(0)
	case os.Getenv(insideEnv) != "":
		os.Exit(m.Run())
	case os.Geteuid() != 0:
		fmt.Fprintln(os.Stderr, "these tests mount filesystems: run them as root (CAP_SYS_ADMIN)")
		os.Exit(1)
	}
	os.Exit(runInside())
}

func runInside() int {
	runtime.LockOSThread() // Pdeathsig is about the thread that starts the child
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "running the tests in a mount namespace of their own:", err)
	return 1
}
