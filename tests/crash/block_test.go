package crash

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// place is where the volume's data lies.
func (v *volume) place(d *process.Driver) string {
	if v.block {
		return filepath.Join(d.PoolDir(), "images", v.name)
	}
	if v.named {
		return filepath.Join(d.PoolDir(), v.way(), "data="+v.name)
	}
	return filepath.Join(d.PoolDir(), "volumes", v.name)
}

// fillDevice writes data to a block device, as an application does that wants it to last.
func fillDevice(path, data string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// holdsData returns an error unless a device or an image begins with data, and with
// nothing else.
func holdsData(path, data string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	found := make([]byte, 4096)
	if _, err := f.ReadAt(found, 0); err != nil {
		return err
	}
	if got := strings.TrimRight(string(found), "\x00"); got != data {
		return fmt.Errorf("%s is to hold %q, and holds %q", path, data, got)
	}
	return nil
}

// lookAtDevice returns an error unless what is mounted at the target is the volume's
// device, of the volume's size.
func (v *volume) lookAtDevice(d *process.Driver) error {
	if err := holdsData(v.target, v.data); err != nil {
		return err
	}
	f, err := os.Open(v.target)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	if !slices.Contains(v.bytes, size) {
		return fmt.Errorf("the device of volume %s has %d bytes; it may have %v", v.name, size, v.bytes)
	}
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("what is mounted at %s is no loop device with a file: %w", v.target, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(v.place(d), &st); err != nil {
		return err
	}
	if info.Device != st.Dev || info.Inode != st.Ino {
		return fmt.Errorf("what is mounted at %s is not volume %s", v.target, v.name)
	}
	return nil
}

// compareDevices returns an error unless every block volume that is published has one
// loop device, and no other has any.
func (w *world) compareDevices(t testing.TB) error {
	var want []string
	for _, v := range w.volumes {
		if v.block && v.published == yes {
			want = append(want, v.place(w.d))
		}
	}
	var has []string
	for _, l := range process.LoopDevicesOf(t, w.d.PoolDir()) {
		_, file, _ := strings.Cut(l, " has ")
		has = append(has, file)
	}
	slices.Sort(want)
	slices.Sort(has)
	if !slices.Equal(want, has) {
		return fmt.Errorf("loop devices have %v, and are to have %v", has, want)
	}
	return nil
}
