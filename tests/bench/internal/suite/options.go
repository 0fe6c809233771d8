// Package suite measures a driver: it starts the real binary, drives it over its
// socket, and does beside every phase the same with bare system calls.
package suite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what to measure. Flags of the run command fill them in.
type Options struct {
	// Driver is the path of the driver's binary.
	Driver string
	// Dir is where the work directory is made; "": os.TempDir().
	Dir string
	// Filesystem is the type of filesystem to make in an image file in Dir; "": none,
	// the directory itself is measured on.
	Filesystem string
	// ImageSize is the size of that file, in bytes; it is sparse.
	ImageSize int64
	// Existing is how many other volumes exist, for each part of the run, ascending.
	Existing []int
	// InFlight is how many calls are in flight, for each part of the run.
	InFlight []int
	// Ops is how many volumes a round creates, publishes, and so on.
	Ops int
	// Rounds is how often driver and floor take turns.
	Rounds int
	// Restarts is how often the driver is started anew with so many volumes existing.
	Restarts int
	// Connections is how many gRPC connections the calls share.
	Connections int
	// VolumeSize is what volumes are created with, in bytes.
	VolumeSize int64
}

// Default is a whole run.
func Default() Options {
	return Options{
		Driver: "../../bin/hostpath-csi", Existing: []int{0, 100_000}, InFlight: []int{1, 8, 32},
		Ops: 500, Rounds: 5, Restarts: 3, Connections: 1, VolumeSize: 64 << 10, ImageSize: 32 << 30,
	}
}

// Quick is a smoke run: it tells whether everything works, and little of how fast.
func Quick() Options {
	o := Default()
	o.Existing, o.Ops, o.Rounds, o.Restarts = []int{0, 1000}, 64, 1, 1
	return o
}

// Validate returns what is wrong with the options, and makes Driver absolute.
func (o *Options) Validate() error {
	var errs []error
	positive := func(name string, values ...int) {
		if len(values) == 0 || slices.Min(values) < 1 {
			errs = append(errs, fmt.Errorf("--%s: got %v, want at least 1", name, values))
		}
	}
	positive("in-flight", o.InFlight...)
	positive("ops", o.Ops)
	positive("rounds", o.Rounds)
	positive("connections", o.Connections)
	if len(o.Existing) == 0 || o.Existing[0] < 0 || !slices.IsSorted(o.Existing) {
		errs = append(errs, fmt.Errorf("--existing: got %v, want ascending numbers of at least 0", o.Existing))
	}
	if o.Restarts < 0 {
		errs = append(errs, fmt.Errorf("--restarts: got %d, want at least 0", o.Restarts))
	}
	if strings.Trim(o.Filesystem, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		errs = append(errs, fmt.Errorf("--filesystem: got %q, want the name of a filesystem", o.Filesystem))
	}
	if o.VolumeSize < 1 {
		errs = append(errs, fmt.Errorf("--volume-size: got %d, want at least 1", o.VolumeSize))
	}
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("only root may mount: run this as root"))
	}
	driver, err := filepath.Abs(o.Driver)
	if err == nil {
		_, err = os.Stat(driver)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("--driver: %w (build it with `make build`)", err))
	}
	o.Driver = driver
	return errors.Join(errs...)
}
