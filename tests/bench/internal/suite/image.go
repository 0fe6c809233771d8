package suite

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// mountImage makes a filesystem in a sparse file, with these arguments of mkfs, and mounts
// it at the directory at, with these options, through a loop device that goes away with the mount.
func mountImage(filesystem, image, at string, size int64, arguments []string, options ...string) (unmount func() error, err error) {
	f, err := os.Create(image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(size), f.Close(), os.Mkdir(at, 0o755)); err != nil {
		return nil, err
	}
	for _, command := range [][]string{
		slices.Concat([]string{"mkfs." + filesystem, "-q"}, arguments, []string{image}),
		{"mount", "-o", strings.Join(append(options, "loop"), ","), image, at},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%q: %w: %s", command, err, out)
		}
	}
	return func() error {
		if err := unix.Unmount(at, 0); err != nil {
			return fmt.Errorf("unmounting %s: %w", at, err)
		}
		return nil
	}, nil
}
