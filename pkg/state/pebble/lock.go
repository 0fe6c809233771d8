package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const lockFile = "lock"

// acquireLock makes this process the only user of dir until the returned file is
// closed, or the process ends in whatever way. The kernel's lock decides; the pid
// in the file is there to be told, and a stale one is no obstacle. The file stays:
// removing it would let two processes lock two files of one name.
func acquireLock(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noStore(dir)
	}
	if err != nil {
		return nil, state.Errorf(state.Unavailable, "locking the state directory: %w", err)
	}
	if err := flock(file); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = state.Errorf(state.InUse, "state directory %s is in use by process %s: stop it or choose another --state-dir", dir, holder(file))
		} else {
			err = state.Errorf(state.Unavailable, "locking %s: %w", file.Name(), err)
		}
		return nil, errors.Join(err, file.Close())
	}
	if err := writePID(file); err != nil {
		err = state.Errorf(state.Unavailable, "writing %s: %w", file.Name(), err)
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func flock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR {
			return err
		}
	}
}

// writePID writes before it truncates, so that there is a pid to read at any time.
func writePID(file *os.File) error {
	pid := fmt.Sprintf("%d\n", os.Getpid())
	if _, err := file.WriteAt([]byte(pid), 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(pid)))
}

// holder returns the pid that a lock file names, or "(unknown)".
func holder(file *os.File) string {
	var content [32]byte
	n, _ := file.ReadAt(content[:], 0)
	pid, _, _ := strings.Cut(string(content[:n]), "\n")
	if _, err := strconv.Atoi(pid); err != nil {
		return "(unknown)"
	}
	return pid
}
