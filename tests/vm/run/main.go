// Run runs a command, as root, under a Linux kernel of its own that has XFS and ext4
// project quota, whatever the machine's kernel was built with:
//
//	vmrun [flags] -- command [argument]...
//	go test -tags quotavm -exec "vmrun --" ./pkg/...
//
// The kernel is user-mode-linux: an ordinary program (Debian package user-mode-linux)
// that needs no virtualization and boots in less than a second. Its root filesystem is
// the machine's own (hostfs), so that the command, its working directory and programs
// such as mkfs are where they were. This program is both halves: on the machine it
// starts the kernel (host.go), inside it is process 1 (guest.go).
//
// The exit code is the command's. It is exitDead, with the kernel's last words, if the
// guest ended without telling one.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// Exit codes of this program's own, as those of env(1) and docker run.
const (
	exitDead  = 125 // the guest did not start, died or hung
	exitStart = 126 // the command could not be started in the guest
)

// guestVar is the kernel parameter, and so the environment variable of process 1,
// that names the directory which host and guest share.
const guestVar = "HOSTPATH_CSI_VM"

func main() {
	if dir := os.Getenv(guestVar); dir != "" && os.Getpid() == 1 {
		guest(dir)
	}
	o := options{}
	flag.StringVar(&o.kernel, "kernel", "linux.uml", "the user-mode-linux kernel")
	flag.StringVar(&o.memory, "memory", "2G", "the guest's memory; temporary files, disk images among them, lie in it")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Minute, "kill the guest after this time")
	flag.BoolVar(&o.shim, "shim", false, "preload the shim for large XSAVE areas even where it is not needed")
	flag.BoolVar(&o.verbose, "v", false, "show the kernel's log, too")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := host(o, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "vmrun:", err)
		os.Exit(exitDead)
	}
	os.Exit(code)
}
