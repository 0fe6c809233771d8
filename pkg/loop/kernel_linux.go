package loop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linux is the kernel.
type linux struct{}

const sysBlock = "/sys/block"

func (linux) free() (int, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer control.Close()
	var number int
	err = retry(func() error {
		number, err = unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("LOOP_CTL_GET_FREE: %w", err)
	}
	return number, nil
}

// open makes sure that the node is of the device that it is called after: an ordinary
// /dev in a container may hold anything.
func (linux) open(number int, readOnly bool) (device, error) {
	flags := os.O_RDWR
	if readOnly {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(Path(number), flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	want, err := os.ReadFile(filepath.Join(sysBlock, name(number), "dev"))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	got := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	if st.Mode&unix.S_IFMT != unix.S_IFBLK || got != strings.TrimSpace(string(want)) {
		return nil, errors.Join(fmt.Errorf("%s is not the device %s: %w", f.Name(), strings.TrimSpace(string(want)), unix.ENODEV), f.Close())
	}
	return node{f}, nil
}

func (k linux) bound() (map[int]string, error) {
	d, err := os.Open(sysBlock)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := map[int]string{}
	for _, n := range names {
		number, ok := NumberIn(n)
		if !ok {
			continue
		}
		path, err := k.path(number)
		if err != nil {
			return nil, err
		}
		if path != "" {
			all[number] = path
		}
	}
	return all, nil
}

func (linux) path(number int) (string, error) {
	b, err := os.ReadFile(filepath.Join(sysBlock, name(number), "loop", "backing_file"))
	// A device that loses its file while this is read has none either.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
		return "", nil
	}
	return strings.TrimSuffix(string(b), "\n"), err
}

// reopen also serves for descriptors that were opened with O_PATH.
func (linux) reopen(f *os.File, flags int) (*os.File, error) {
	defer runtime.KeepAlive(f)
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), flags, 0)
}

// node is an open device.
type node struct{ f *os.File }

func (n node) fd() int { return int(n.f.Fd()) }

func (n node) configure(c *unix.LoopConfig) error {
	return n.do("LOOP_CONFIGURE", func() error { return unix.IoctlLoopConfigure(n.fd(), c) })
}

func (n node) status() (info *unix.LoopInfo64, err error) {
	err = n.do("LOOP_GET_STATUS64", func() error {
		info, err = unix.IoctlLoopGetStatus64(n.fd())
		return err
	})
	return info, err
}

func (n node) setStatus(info *unix.LoopInfo64) error {
	return n.do("LOOP_SET_STATUS64", func() error { return unix.IoctlLoopSetStatus64(n.fd(), info) })
}

func (n node) size() (bytes int64, err error) {
	err = n.do("BLKGETSIZE64", func() error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, n.f.Fd(), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&bytes))); errno != 0 {
			return errno
		}
		return nil
	})
	return bytes, err
}

func (n node) setCapacity() error {
	return n.do("LOOP_SET_CAPACITY", func() error { return unix.IoctlSetInt(n.fd(), unix.LOOP_SET_CAPACITY, 0) })
}

func (n node) clear() error {
	return n.do("LOOP_CLR_FD", func() error { return unix.IoctlSetInt(n.fd(), unix.LOOP_CLR_FD, 0) })
}

func (n node) close() error { return n.f.Close() }

func (n node) do(what string, call func() error) error {
	if err := retry(call); err != nil {
		return fmt.Errorf("%s of %s: %w", what, n.f.Name(), err)
	}
	return nil
}

// retry calls again what a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
