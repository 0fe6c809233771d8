package suite

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// CopyOptions say what to measure of snapshots, restores and clones. Flags of the copies
// command fill them in.
type CopyOptions struct {
	// Driver is the path of the driver's binary.
	Driver string
	// Dir is where the work directory is made; "": os.TempDir().
	Dir string
	// Filesystems are the kinds to measure on, each in an image file in Dir; tmpfs is in
	// memory.
	Filesystems []string
	// ImageSize is the size of that file, in bytes; it is sparse.
	ImageSize int64
	// Sizes are those of the one file of a volume, in bytes, ascending.
	Sizes []int64
	// Files are how many small files a volume has; 0: this is left out.
	Files []int
	// Creates is how many empty volumes are created.
	Creates int
	// ProjectQuota has XFS and ext4 limit them; it takes a kernel that can, and leaves
	// copies out.
	ProjectQuota bool
	// Rounds is how often driver and floor take turns, unless that takes longer than
	// Patience for one volume; at least once.
	Rounds   int
	Patience time.Duration
}

// copyFilesystems are the kinds that there is a floor for.
var copyFilesystems = []string{"btrfs", "xfs", "ext4", "tmpfs"}

const (
	mib = int64(1) << 20
	// mostInMemory is the largest file that is measured on tmpfs.
	mostInMemory = 256 * mib
	// smallFile is the size of each of many files.
	smallFile = 4 << 10
)

// DefaultCopies is a whole run.
func DefaultCopies() CopyOptions {
	return CopyOptions{
		Driver: "../../bin/hostpath-csi", Filesystems: copyFilesystems, ImageSize: 20 << 30,
		Sizes: []int64{mib, 256 * mib, 4096 * mib}, Files: []int{100_000}, Creates: 100, Rounds: 15, Patience: time.Minute,
	}
}

// QuickCopies is a smoke run: it tells whether everything works, and little of how fast.
func QuickCopies() CopyOptions {
	o := DefaultCopies()
	o.ImageSize, o.Sizes, o.Files, o.Creates, o.Rounds = 2<<30, []int64{mib, 16 * mib}, []int{1000}, 10, 1
	return o
}

// Validate returns what is wrong with the options, and makes Driver absolute.
func (o *CopyOptions) Validate() error {
	var errs []error
	for _, fs := range o.Filesystems {
		if !slices.Contains(copyFilesystems, fs) {
			errs = append(errs, fmt.Errorf("--filesystems: got %q, want some of %q", fs, copyFilesystems))
		}
	}
	if o.ProjectQuota {
		o.Sizes, o.Files = nil, nil
	}
	for _, size := range o.Sizes {
		if size < mib || 4*size > o.ImageSize {
			errs = append(errs, fmt.Errorf("--sizes: got %d, want from %d to a quarter of --image-size, which is %d", size, mib, o.ImageSize))
		}
	}
	for _, n := range o.Files {
		if n < 0 || n == 1 {
			errs = append(errs, fmt.Errorf("--files: got %d, want at least 2, or 0 for none", n))
		}
	}
	if o.Creates < 1 {
		errs = append(errs, fmt.Errorf("--creates: got %d, want at least 1", o.Creates))
	}
	run := Default()
	run.Driver, run.Rounds = o.Driver, o.Rounds
	errs = append(errs, run.Validate())
	o.Driver = run.Driver
	return errors.Join(errs...)
}
