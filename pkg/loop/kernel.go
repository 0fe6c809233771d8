package loop

import (
	"os"

	"golang.org/x/sys/unix"
)

// kernel is what this package needs of the operating system. It decides nothing.
// Errors wrap the errno.
type kernel interface {
	// free names a device that nobody used an instant ago.
	free() (number int, err error)
	// open opens a device, for reading if readOnly. ENOENT: this process's /dev does not
	// have it.
	open(number int, readOnly bool) (device, error)
	// bound lists the devices that have a file, with its path.
	bound() (map[int]string, error)
	// path returns the path of the file that a device has; "" if it has none.
	path(number int) (string, error)
	// reopen opens the file that f is open on once more.
	reopen(f *os.File, flags int) (*os.File, error)
}

// device is an open loop device.
type device interface {
	// configure gives the device a file: EBUSY if it has one.
	configure(*unix.LoopConfig) error
	// status tells about the file: ENXIO if there is none.
	status() (*unix.LoopInfo64, error)
	setStatus(*unix.LoopInfo64) error
	// size is what the device has, in bytes.
	size() (int64, error)
	// setCapacity makes the size that of the file.
	setCapacity() error
	// clear has the device give up its file when its last opener closes it.
	clear() error
	close() error
}
