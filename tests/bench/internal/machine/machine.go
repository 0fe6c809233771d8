// Package machine tells what machine something was measured on.
package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Facts is what a figure depends on besides the program.
type Facts struct {
	Date      time.Time `json:"date"`
	Kernel    string    `json:"kernel"`
	Arch      string    `json:"arch"`
	CPU       string    `json:"cpu,omitempty"`
	Cores     int       `json:"cores"`
	MemoryMiB uint64    `json:"memoryMiB"`
	// Filesystem is its type; an ext4 without a journal is marked as such.
	Filesystem string `json:"filesystem"`
	Go         string `json:"go"`
}

// String is the facts in one line.
func (f Facts) String() string {
	return fmt.Sprintf("%s, Linux %s, %s, %d cores (%s), %d MiB, %s, %s",
		f.Date.Format(time.DateOnly), f.Kernel, f.Arch, f.Cores, f.CPU, f.MemoryMiB, f.Filesystem, f.Go)
}

// Look returns the facts, with the filesystem that dir is on.
func Look(dir string) (Facts, error) {
	f := Facts{Date: time.Now().UTC().Truncate(time.Second), Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return f, fmt.Errorf("uname: %w", err)
	}
	f.Kernel = unix.ByteSliceToString(uname.Release[:])
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return f, err
	}
	if cpus, err := proc.CPUInfo(); err == nil && len(cpus) > 0 {
		f.CPU = cpus[0].ModelName
	}
	if mem, err := proc.Meminfo(); err == nil && mem.MemTotalBytes != nil {
		f.MemoryMiB = *mem.MemTotalBytes >> 20
	}
	f.Filesystem, err = filesystem(dir)
	return f, err
}

// filesystem returns the type of the filesystem that dir is on.
func filesystem(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil {
		return "", err
	}
	if len(mounts) == 0 {
		return "", fmt.Errorf("no mount holds %s", dir)
	}
	// Of mounts on one place, the last one is on top.
	slices.SortStableFunc(mounts, func(a, b *mountinfo.Info) int { return len(a.Mountpoint) - len(b.Mountpoint) })
	top := mounts[len(mounts)-1]
	task, err := os.ReadFile(filepath.Join("/sys/fs/ext4", filepath.Base(top.Source), "journal_task"))
	if err == nil && top.FSType == "ext4" && strings.TrimSpace(string(task)) == "<none>" {
		return noJournal, nil
	}
	return top.FSType, nil
}

const noJournal = "ext4 without a journal"

// NoJournal tells whether it is an ext4 without a journal. To be safe without one,
// it does not use an inode again for minutes after its removal; every mkdir walks
// over those.
func (f Facts) NoJournal() bool { return f.Filesystem == noJournal }

// RealDisk returns an error unless dir is on a filesystem that keeps what it is
// given: on one in memory, fsync costs nothing and no figure means anything.
func (f Facts) RealDisk(dir string) error {
	switch f.Filesystem {
	case "tmpfs", "ramfs", "devtmpfs":
		return fmt.Errorf("%s is on %s, which is memory; choose a directory on a real disk with --dir", dir, f.Filesystem)
	}
	return nil
}
