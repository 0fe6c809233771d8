package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

type options struct {
	kernel, memory string
	timeout        time.Duration
	shim, verbose  bool
}

// job is what the guest is to do. It lies as a file in the shared directory.
type job struct {
	Args []string
	Env  []string
	Dir  string
}

// The files of the directory that host and guest share.
const (
	jobFile = "job.json" // written by the host
	tmpDir  = "tmp"      // the guest mounts its own memory there
	endFile = "end.json" // written by the guest at its end
)

// end is how the command ended.
type end struct {
	Code  int
	Error string // why it did not start, or the signal that ended it
}

// host starts the guest and returns the exit code of the command in it.
func host(o options, args []string) (int, error) {
	dir, err := os.MkdirTemp("", "vmrun")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir, args); err != nil {
		return 0, err
	}
	console, err := boot(o, dir)
	if err != nil {
		return 0, lastWords(err, console)
	}
	b, err := os.ReadFile(filepath.Join(dir, endFile))
	if err != nil {
		return 0, lastWords(errors.New("the guest died"), console)
	}
	var e end
	if err := json.Unmarshal(b, &e); err != nil {
		return 0, fmt.Errorf("%s: %w", endFile, err)
	}
	if e.Error != "" {
		fmt.Fprintln(os.Stderr, "vmrun: in the guest:", e.Error)
	}
	return e.Code, nil
}

func lastWords(err error, console string) error {
	if console == "" {
		return err
	}
	return fmt.Errorf("%w; its last words:\n%s", err, console)
}

// prepare writes down what the guest is to do.
func prepare(dir string, args []string) error {
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	wd, err := os.Getwd()
	if err != nil {
		return err
	}
	b, err := json.Marshal(job{Args: append([]string{program}, args[1:]...), Env: os.Environ(), Dir: wd})
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, tmpDir), 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, jobFile), b, 0o600)
}

// boot runs the kernel until it ends. It returns the end of the kernel's log, and an
// error if it had to be killed. The command's output, both streams of it, goes to
// standard output.
func boot(o options, dir string) (console string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(o.kernel,
		"mem="+o.memory,
		"rootfstype=hostfs", "rw",
		"init="+self, guestVar+"="+dir,
		"uml_dir="+dir, "umid=guest",
		"con=null", "ssl=null",
		"con0=null,fd:2",                       // /dev/console, with the kernel's log
		"con1=null,fd:1",                       // /dev/tty1, for the command
		"panic=-1",                             // end at once
		"initcall_blacklist=raid6_select_algo", // half a second of benchmarks
	)
	if !o.verbose {
		cmd.Args = append(cmd.Args, "quiet", "loglevel=1")
	}
	// The guest's memory is a file in TMPDIR.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + memoryDir()}
	if o.shim || largeXSAVE() {
		library, err := buildShim(dir)
		if err != nil {
			return "", err
		}
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+library)
	}
	log, err := os.Create(filepath.Join(dir, "console"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = os.Stdout, log
	// A group of its own, which is killed as a whole: every process of the guest is one
	// of the machine. Pdeathsig is about the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("%w (Debian package user-mode-linux)", err)
	}
	var why atomic.Pointer[string]
	kill := func(reason string) {
		why.CompareAndSwap(nil, &reason)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	defer kill("") // what may be left of its processes
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	go func() { kill("ended by signal: " + (<-signals).String()) }()
	defer time.AfterFunc(o.timeout, func() { kill("the guest did not end within " + o.timeout.String()) }).Stop()

	err = cmd.Wait() // the kernel's own exit code says nothing
	if reason := why.Load(); reason != nil {
		return tail(log), errors.New(*reason)
	}
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		return tail(log), err
	}
	return tail(log), nil
}

// memoryDir is where the guest's memory is least likely to be written to a disk.
func memoryDir() string {
	const shm = "/dev/shm"
	if st, err := os.Stat(shm); err == nil && st.IsDir() {
		return shm
	}
	return os.TempDir()
}

// tail returns the last lines of the console.
func tail(log *os.File) string {
	const most = 4000
	if end, err := log.Seek(0, io.SeekEnd); err == nil {
		_, _ = log.Seek(max(0, end-most), io.SeekStart)
	}
	b, _ := io.ReadAll(log)
	return string(b)
}
