package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// checkKubelet looks whether what is mounted beneath the kubelet's directory is seen by
// the pods.
func checkKubelet(dir string) []Finding {
	const check, propagation = "kubelet", "mount propagation"
	real, err := filepath.EvalSymlinks(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{warn(check, "none is needed without Kubernetes; otherwise name its directory with --kubelet-dir", "there is no %s", state.Quote(dir))}
	case err != nil:
		return []Finding{fail(check, "", "%v", err)}
	}
	findings := []Finding{checkKubeletPath(dir, real)}
	m, err := mountOf(real)
	switch {
	case err != nil:
		return append(findings, fail(propagation, "", "%v", err))
	case !slices.ContainsFunc(strings.Fields(m.Optional), func(o string) bool { return strings.HasPrefix(o, "shared:") }):
		return append(findings, fail(propagation, "mount --make-rshared "+shellQuote(m.Mountpoint)+"; in a container, mount it with mountPropagation: Bidirectional",
			"%s, in which %s lies, is not shared: pods would not see their volumes", state.Quote(m.Mountpoint), state.Quote(real)))
	}
	return append(findings, ok(propagation, "%s is shared", state.Quote(m.Mountpoint)))
}

func checkKubeletPath(dir, real string) Finding {
	const check = "kubelet"
	if st, err := os.Stat(real); err != nil || !st.IsDir() {
		return fail(check, "", "%s is no directory", state.Quote(real))
	}
	if real != filepath.Clean(dir) {
		return warn(check, "give the driver --target-root "+shellQuote(dir), "%s is really %s, and no target path is followed through a symbolic link", state.Quote(dir), state.Quote(real))
	}
	return ok(check, "%s", dir)
}

// mountOf returns the mount that a path is in.
func mountOf(path string) (*mountinfo.Info, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		return nil, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return uint64(m.ID) != st.Mnt_id, uint64(m.ID) == st.Mnt_id })
	if err != nil {
		return nil, err
	}
	if len(mounts) == 0 {
		return nil, fmt.Errorf("the mount that %s is in is not in /proc/self/mountinfo", state.Quote(path))
	}
	return mounts[0], nil
}

// shellQuote makes one word of a command line.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
