package suite

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/floor"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/report"
)

// RunCopies measures snapshots, restores and clones on each filesystem, and tells log how
// it gets on. As with Run, nothing is left behind.
func RunCopies(ctx context.Context, o CopyOptions, log *log.Logger) (result *report.Copies, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	dir, facts, remove, err := workDir(o.Dir, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	result = &report.Copies{Machine: facts}
	result.Machine.Filesystem = "images on " + facts.Filesystem
	for _, fs := range o.Filesystems {
		s := &copies{CopyOptions: o, filesystem: fs, dir: filepath.Join(dir, fs), log: log, result: result}
		if err := s.measure(ctx); ctx.Err() != nil {
			return result, fmt.Errorf("interrupted: %w", context.Cause(ctx))
		} else if err != nil {
			return result, fmt.Errorf("on %s: %w", fs, err)
		}
	}
	result.Judge()
	return result, nil
}

// copies is the part of a run that is on one filesystem.
type copies struct {
	CopyOptions
	filesystem string
	dir, disk  string
	log        *log.Logger
	floor      *floor.Copier
	driver     *subject
	result     *report.Copies
}

// measure makes the filesystem, starts the driver on it, and measures.
func (s *copies) measure(ctx context.Context) (err error) {
	s.disk = filepath.Join(s.dir, "disk")
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }() // the next one needs its room
	unmount, err := s.mount()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmount()) }()
	if s.filesystem == "btrfs" {
		if err := floor.EnableSimpleQuotas(s.disk); err != nil {
			return err
		}
	}
	if s.floor, err = floor.NewCopier(s.filesystem, filepath.Join(s.disk, "floor")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.floor.Close()) }()
	s.floor.Projects = s.limitsProjects()
	o := Default()
	o.Driver = s.Driver
	if s.driver, err = startSubject(ctx, o, s.dir, s.disk); err != nil {
		return errors.Join(err, s.driverLog())
	}
	defer s.driver.close()
	if s.result.Driver, err = s.driver.client.Version(ctx); err != nil {
		return err
	}
	if err := s.run(); err != nil {
		return errors.Join(err, s.driverLog())
	}
	_, err = s.driver.process.Stop(patience)
	return err
}

// mount makes the filesystem and mounts it. Its loop device goes around the page cache, so
// that what is not in the filesystem's own cache comes from the disk.
func (s *copies) mount() (unmount func() error, err error) {
	if s.filesystem == "tmpfs" {
		if err := os.Mkdir(s.disk, 0o755); err != nil {
			return nil, err
		}
		if err := unix.Mount("tmpfs", s.disk, "tmpfs", 0, fmt.Sprintf("size=%d", 24*mostInMemory)); err != nil {
			return nil, err
		}
		return func() error { return unix.Unmount(s.disk, 0) }, nil
	}
	var options, features []string
	if s.filesystem == "ext4" {
		options = []string{"noinit_itable"} // else it goes on being made in the background
	}
	if s.limitsProjects() {
		options = append(options, "prjquota")
		if s.filesystem == "ext4" {
			features = []string{"-O", "quota,project"}
		}
	}
	image := filepath.Join(s.dir, "image")
	if unmount, err = mountImage(s.filesystem, image, s.disk, s.ImageSize, features, options...); err != nil {
		return nil, err
	}
	if s.ProjectQuota {
		return unmount, nil // the disk of such a machine may know no direct I/O; no file is copied there
	}
	out, err := exec.Command("losetup", "--associated", image, "--noheadings", "--output", "NAME").Output()
	if err == nil {
		out, err = exec.Command("losetup", "--direct-io=on", strings.TrimSpace(string(out))).CombinedOutput()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("direct I/O for %s: %w: %s", image, err, out), unmount())
	}
	return unmount, nil
}

// limitsProjects tells whether volumes have limits by project quota.
func (s *copies) limitsProjects() bool {
	return s.ProjectQuota && (s.filesystem == "xfs" || s.filesystem == "ext4")
}

// sync writes out what is waiting to be written, and waits for the driver to come to rest.
func (s *copies) sync() error {
	if _, err := s.driver.settle(); err != nil {
		return err
	}
	d, err := os.Open(s.disk)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

func (s *copies) driverLog() error { return (&suite{dir: s.dir}).driverLog() }
