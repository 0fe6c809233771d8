package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// device is an open block device.
type device struct {
	file         *os.File
	path         string // without symbolic links
	major, minor uint32
}

// openDevice opens the device, and formats it if it may and the device is blank. The
// path is the administrator's and may be a symbolic link, as all in /dev/disk are.
func (d Disk) openDevice(ctx context.Context, fs kind, mayFormat bool) (_ source, err error) {
	path, err := filepath.EvalSymlinks(d.Device)
	if err != nil {
		return nil, notReady("%s: %w: attach it, or declare the path that it has", d, err)
	}
	s := &device{path: path}
	if s.file, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err != nil {
		return nil, notReady("%s: %w", d, err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var st unix.Stat_t
	if err := unix.Fstat(int(s.file.Fd()), &st); err != nil {
		return nil, notReady("%s: %w", d, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return nil, state.Errorf(state.Invalid, "%s is no block device", d)
	}
	s.major, s.minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
	kind, err := signature(s.file)
	if err != nil {
		return nil, notReady("reading %s: %w", d, err)
	}
	if mayFormat {
		err = s.format(ctx, d, fs, kind)
	} else if kind == "" {
		err = notReady("%s is blank, though its pool was here: attach the disk that it is on: %w", d, ErrNothing)
	}
	if err == nil && mayFormat {
		kind, err = signature(s.file)
	}
	if err != nil {
		return nil, err
	}
	if kind != d.Filesystem {
		return nil, notReady("%s carries %s and is to carry %s: declare what it carries, or another device. "+
			"If nothing on it is of use, it may be overwritten, and the driver formats it: blkdiscard -z %s, or dd if=/dev/zero of=%s bs=1M", d, kind, d.Filesystem, path, path)
	}
	return s, nil
}

// format makes the filesystem if the device is blank, or was being formatted by this
// driver when it was killed.
func (s *device) format(ctx context.Context, d Disk, fs kind, kind string) error {
	bytes, err := s.bytes()
	if err != nil {
		return notReady("size of %s: %w", d, err)
	}
	at := claimPlace(bytes)
	if bytes < MinBytes {
		if kind == "" {
			return state.Errorf(state.Invalid, "%s has %d bytes; it takes at least %d", d, bytes, int64(MinBytes))
		}
		return nil
	}
	claimed, err := readClaim(s.file, at)
	if err != nil {
		return notReady("reading %s: %w", d, err)
	}
	if kind != "" && !claimed {
		return nil
	}
	if err := fs.maker.find(); err != nil {
		return err
	}
	// With O_EXCL: nobody has mounted it, nor has RAID or LVM taken it.
	f, err := os.OpenFile(s.path, os.O_RDWR|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return notReady("%s is blank, but cannot be formatted (is it mounted, or part of something else?): %w", d, err)
	}
	defer func() { _ = f.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || unix.Major(st.Rdev) != s.major || unix.Minor(st.Rdev) != s.minor {
		return errors.Join(notReady("%s changes while it is looked at", d), err)
	}
	if !claimed {
		if err := writeClaim(f, at, claim()); err != nil {
			return notReady("writing to %s: %w", d, err)
		}
	}
	crash.Step(crash.DiskClaimed)
	// mkfs wants to be the only one, too.
	if err := f.Close(); err != nil {
		return err
	}
	if f, err = os.OpenFile(s.path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err != nil {
		return notReady("%s: %w", d, err)
	}
	if err := fs.maker.run(ctx, f); err != nil {
		return notReady("formatting %s: %w", d, err)
	}
	if err := f.Sync(); err != nil {
		return notReady("syncing %s: %w", d, err)
	}
	crash.Step(crash.DiskFormatted)
	// Where mkfs has written there itself, nothing is left of the claim.
	if claimed, err = readClaim(f, at); err == nil && claimed {
		err = writeClaim(f, at, make([]byte, claimBytes))
	}
	if err != nil {
		return notReady("taking the claim from %s: %w", d, err)
	}
	return nil
}

func (s *device) device() string { return s.path }

func (s *device) is(major, minor uint32) (bool, error) {
	return major == s.major && minor == s.minor, nil
}

func (s *device) bytes() (int64, error) {
	const blkGetSize64 = 0x80081272 // _IOR(0x12, 114, size_t)
	var n uint64
	if err := ioctl(s.file, blkGetSize64, unsafe.Pointer(&n)); err != nil {
		return 0, fmt.Errorf("BLKGETSIZE64: %w", err)
	}
	return int64(n), nil
}

func (s *device) extend(Disk) error { return nil } // it has the size that it has

func (s *device) close() { _ = s.file.Close() }
