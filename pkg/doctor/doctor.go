// Package doctor looks whether a machine is ready for the driver, and names the command
// that mends what is not. It asks the machine itself, by doing what the driver would do,
// and leaves nothing behind.
package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
)

// Verdict says how bad a finding is.
type Verdict string

// A Warning is about what works, but not as well as it could; with a Failure something
// does not work.
const (
	OK      Verdict = "OK"
	Warning Verdict = "WARN"
	Failure Verdict = "FAIL"
)

// Finding is what one check found.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	// About is "machine", or "pool NAME".
	About string `json:"about"`
	// Check names what was looked at, in a word or two.
	Check string `json:"check"`
	// Found tells what there is.
	Found string `json:"found"`
	// Remedy is the command, or what else, that mends it.
	Remedy string `json:"remedy,omitempty"`
}

// Machine is what is looked at beside the pools.
type Machine struct {
	// KubeletDir is where the kubelet has its pods.
	KubeletDir string
}

// Check looks at the machine.
func (m Machine) Check() []Finding {
	findings := []Finding{checkKernel(), checkRoot(), checkLoop()}
	findings = append(findings, checkKubelet(cmp.Or(m.KubeletDir, "/var/lib/kubelet"))...)
	for i := range findings {
		findings[i].About = "machine"
	}
	return findings
}

func ok(check, format string, args ...any) Finding {
	return Finding{Verdict: OK, Check: check, Found: fmt.Sprintf(format, args...)}
}

func warn(check, remedy, format string, args ...any) Finding {
	return Finding{Verdict: Warning, Check: check, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(check, remedy, format string, args ...any) Finding {
	return Finding{Verdict: Failure, Check: check, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func checkKernel() Finding {
	const check = "kernel"
	if err := mount.CheckKernel(); err != nil {
		return fail(check, "boot Linux 5.12 or newer; in a container, run it privileged", "%v", err)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return fail(check, "", "uname: %v", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	// EBADF: it would do, with a descriptor.
	if _, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, ^uintptr(0), 0, 0, 0, 0, 0); errno == unix.ENOSYS {
		return warn(check, "boot Linux 5.14 or newer", "Linux %s, which has no quotactl_fd: no size is enforced on XFS and ext4", release)
	}
	return ok(check, "Linux %s", release)
}

func checkRoot() Finding {
	const check = "privileges"
	if uid := os.Geteuid(); uid != 0 {
		return fail(check, "run it as root", "it runs as user %d", uid)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fail(check, "", "capget: %v", err)
	}
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"}, {unix.CAP_CHOWN, "CAP_CHOWN"}, {unix.CAP_FOWNER, "CAP_FOWNER"}} {
		if sets[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			return fail(check, "in a container, set securityContext.privileged: true", "it lacks the capability %s", c.name)
		}
	}
	return ok(check, "root, with its capabilities")
}

// checkLoop looks for what block volumes need.
func checkLoop() Finding {
	const check, path = "loop devices", "/dev/loop-control"
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENODEV):
		return warn(check, "modprobe loop; in a container, mount the machine's /dev", "%v: there can be no block volumes", err)
	case err != nil:
		return warn(check, "in a container, set securityContext.privileged: true", "%v: there can be no block volumes", err)
	}
	defer f.Close()
	return ok(check, "%s", path)
}
