package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fillerPath is a file that the pod fills its volume with.
func (d *demo) fillerPath() string { return filepath.Join(d.target, "filler") }

// slack is what a volume may take beyond its size: room for the filesystem itself, which
// files can have, too, as long as it does not need it.
const slack = 8 * mib

// fill writes until there is no room, which has to be where the volume's size ends.
func (d *demo) fill(context.Context) error {
	d.out.call("write to %s for as long as it takes more", d.fillerPath())
	written, err := appendTo(d.fillerPath(), 2*firstSize)
	if !errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("after %s it is told %v, and not that its quota is exceeded", size(written), err)
	}
	if all := written + payload; all < firstSize || all > firstSize+slack {
		return fmt.Errorf("a volume of %s took %s", size(firstSize), size(all))
	}
	d.out.seen("after %s, and %s before, it is told: %v", size(written), size(payload), unix.EDQUOT)
	return nil
}

// appendTo writes so many bytes, durably, and returns how many it could.
func appendTo(path string, bytes int64) (written int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := make([]byte, 256<<10)
	for i := range chunk {
		chunk[i] = byte(i * 7)
	}
	for written < bytes {
		n, err := f.Write(chunk)
		written += int64(n)
		if err == nil {
			err = f.Sync() // a filesystem may refuse late
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
