package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// guest is process 1 of the guest. It does not return: the machine is switched off.
func guest(dir string) {
	code, err := work(dir)
	e := end{Code: code}
	if err != nil {
		e.Error = err.Error()
	}
	b, err := json.Marshal(e)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, endFile), b, 0o600)
	}
	if err != nil { // the host will take the guest for dead, and show this
		fmt.Println("telling the end:", err)
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// work makes the guest a place to run tests in, and runs the command.
func work(dir string) (code int, err error) {
	b, err := os.ReadFile(filepath.Join(dir, jobFile))
	if err != nil {
		return exitStart, err
	}
	var j job
	if err := json.Unmarshal(b, &j); err != nil {
		return exitStart, fmt.Errorf("%s: %w", jobFile, err)
	}
	tmp := filepath.Join(dir, tmpDir)
	if err := mountAll(tmp); err != nil {
		return exitStart, err
	}
	if err := loadModules(); err != nil {
		return exitStart, err
	}
	if err := loopbackUp(); err != nil {
		return exitStart, err
	}
	out, err := openOutput()
	if err != nil {
		return exitStart, err
	}
	defer out.Close()
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Dir, cmd.Env = j.Dir, append(j.Env, "TMPDIR="+tmp)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	case errors.As(err, &exit): // as a shell tells a signal
		return 128 + int(exit.Sys().(interface{ Signal() unix.Signal }).Signal()), err
	}
	return exitStart, err
}

// openOutput opens the terminal that leads to the host's standard output, and keeps it
// from turning each line feed into two characters.
func openOutput() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty1", os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err == nil {
		t.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		_ = tty.Close()
		return nil, fmt.Errorf("setting up %s: %w", tty.Name(), err)
	}
	return tty, nil
}

// mountAll mounts what the machine's root filesystem has of the machine's kernel, and
// memory for temporary files.
func mountAll(tmp string) error {
	for _, m := range []struct{ kind, target, data string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""}, // the kernel may have done it: then this changes nothing
		{"tmpfs", tmp, "mode=1777,size=90%"},
	} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	return nil
}

// loopbackUp brings up the one network that the machine has, for metrics.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("bringing up lo: %w", err)
	}
	return nil
}

// modules are those of Debian's kernel that tests need, in the order of their needs.
var modules = []string{
	"drivers/block/loop.ko",
	"fs/quota/quota_tree.ko",
	"fs/quota/quota_v2.ko",
}

func loadModules() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	root := filepath.Join("/usr/lib/uml/modules", unix.ByteSliceToString(uts.Release[:]), "kernel")
	for _, name := range modules {
		f, err := os.Open(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // built into this kernel; if not, the tests that need it say so
		}
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		_ = f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("loading %s: %w", name, err)
		}
	}
	return nil
}
