package pool

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// isInOrder tells whether a filesystem makes changes durable in the order in which
// they were made, whichever directory they are in, so that the fsync of the last
// covers all before it: those whose journal is one sequence. POSIX promises no such
// thing, so any other is taken not to. The power-cut tests in tests/crash prove it.
func isInOrder(root *os.File) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(int(root.Fd()), &st) != nil {
		return false
	}
	switch st.Type {
	case unix.XFS_SUPER_MAGIC:
		return true
	case unix.EXT4_SUPER_MAGIC:
		return hasJournal(root)
	}
	return false
}

// hasJournal tells whether an ext4 is one with a journal, which few are without: sysfs
// names the kernel's task that writes it.
func hasJournal(root *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(root.Fd()), &st) != nil {
		return false
	}
	number := strconv.Itoa(int(unix.Major(st.Dev))) + ":" + strconv.Itoa(int(unix.Minor(st.Dev)))
	device, err := os.Readlink("/sys/dev/block/" + number)
	if err != nil {
		return false
	}
	task, err := os.ReadFile("/sys/fs/ext4/" + filepath.Base(device) + "/journal_task")
	if err != nil {
		return false
	}
	_, err = strconv.Atoi(strings.TrimSpace(string(task)))
	return err == nil // "<none>" without one
}
