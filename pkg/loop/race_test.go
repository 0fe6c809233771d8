package loop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// fake is a kernel whose devices others take at the worst moment.
type fake struct {
	linux
	next    int // what free names
	stolen  int // so many devices are taken between free and configure
	removed int // and then so many are removed before they are opened
	opened  int // devices open now
	devices map[int]*fakeDevice

	noDirectIO bool
	wrongFile  bool
	shortSize  bool
	noNode     bool
}

type fakeDevice struct {
	k       *fake
	number  int
	info    *unix.LoopInfo64
	bytes   int64
	foreign bool
}

func (k *fake) free() (int, error) {
	for k.devices[k.next] != nil && k.devices[k.next].info != nil {
		k.next++
	}
	if k.stolen > 0 {
		k.stolen--
		k.devices[k.next] = &fakeDevice{k: k, number: k.next, info: &unix.LoopInfo64{Inode: 1}, foreign: true}
	}
	return k.next, nil
}

func (k *fake) open(number int, _ bool) (device, error) {
	if k.noNode {
		return nil, &os.PathError{Op: "open", Path: Path(number), Err: unix.ENOENT}
	}
	if k.removed > 0 {
		k.removed--
		return nil, unix.ENXIO
	}
	if k.devices[number] == nil {
		k.devices[number] = &fakeDevice{k: k, number: number}
	}
	k.opened++
	return k.devices[number], nil
}

func (k *fake) path(number int) (string, error) {
	if d := k.devices[number]; d != nil && d.info != nil {
		return fmt.Sprint("/image", d.info.Inode), nil
	}
	return "", nil
}

func (d *fakeDevice) configure(c *unix.LoopConfig) error {
	switch {
	case d.info != nil:
		return unix.EBUSY
	case d.k.noDirectIO && c.Info.Flags&unix.LO_FLAGS_DIRECT_IO != 0:
		return unix.EINVAL
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(c.Fd), &st); err != nil {
		return err
	}
	info := c.Info
	info.Device, info.Inode, d.bytes = st.Dev, st.Ino, st.Size
	if d.k.wrongFile {
		info.Inode++
	}
	if d.k.shortSize {
		d.bytes -= SectorBytes
	}
	d.info = &info
	return nil
}

func (d *fakeDevice) status() (*unix.LoopInfo64, error) {
	if d.info == nil {
		return nil, unix.ENXIO
	}
	return d.info, nil
}

func (d *fakeDevice) setStatus(info *unix.LoopInfo64) error { d.info = info; return nil }
func (d *fakeDevice) size() (int64, error)                  { return d.bytes, nil }
func (d *fakeDevice) setCapacity() error                    { return nil }
func (d *fakeDevice) close() error                          { d.k.opened--; return nil }

func (d *fakeDevice) clear() error {
	d.info = nil
	return nil
}

func TestRacesForAFreeDevice(t *testing.T) {
	f := image(t, t.TempDir(), 4096)
	for name, k := range map[string]*fake{
		"another program takes it":           {stolen: 5},
		"another program takes most of them": {stolen: attempts - 1},
		"another program removes it":         {removed: 3},
		"the kernel refuses direct I/O":      {noDirectIO: true},
		"all of that":                        {stolen: 3, removed: 2, noDirectIO: true},
	} {
		t.Run(name, func(t *testing.T) {
			k.devices = map[int]*fakeDevice{}
			a, err := Loop{k}.Attach(t.Context(), f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if k.devices[a.Number].foreign || a.DirectIO == k.noDirectIO {
				t.Errorf("attached is %+v", a)
			}
			a.Close()
			if k.opened != 0 {
				t.Errorf("%d devices are left open", k.opened)
			}
			for _, d := range k.devices {
				if d.foreign && d.info == nil {
					t.Errorf("%s was another's and is freed", Path(d.number))
				}
			}
		})
	}
}

// TestNothingIsLeftOfAFailure has attaching fail.
func TestNothingIsLeftOfAFailure(t *testing.T) {
	f := image(t, t.TempDir(), 4096)
	for name, c := range map[string]struct {
		k      *fake
		reason state.Reason
		says   string
	}{
		"others are always faster":       {&fake{stolen: attempts + 1}, state.NotReady, "other programs took"},
		"the device has another file":    {&fake{wrongFile: true}, state.Defect, "another file"},
		"the device has another size":    {&fake{shortSize: true}, state.Defect, "3584 bytes"},
		"the device is missing in /dev":  {&fake{noNode: true}, state.Unsupported, "devtmpfs"},
		"the device vanishes every time": {&fake{removed: attempts + 1}, state.NotReady, "other programs took"},
	} {
		t.Run(name, func(t *testing.T) {
			c.k.devices = map[int]*fakeDevice{}
			_, err := Loop{c.k}.Attach(t.Context(), f, Options{})
			wantReason(t, c.reason, err)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, which does not say %q", err, c.says)
			}
			if c.k.opened != 0 {
				t.Errorf("%d devices are left open", c.k.opened)
			}
			for _, d := range c.k.devices {
				if !d.foreign && d.info != nil {
					t.Errorf("%s still has the file", Path(d.number))
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	for path, want := range map[string]struct {
		base    string
		deleted bool
	}{
		"/pool/images/pvc-1":              {"pvc-1", false},
		"/pool/.trash/pvc-1.0c (deleted)": {"pvc-1.0c", true},
		"/pvc-1":                          {"pvc-1", false},
	} {
		a := Attachment{path: path}
		if base, deleted := a.Name(); base != want.base || deleted != want.deleted {
			t.Errorf("%s has the name %q, deleted %v", path, base, deleted)
		}
		if got := filepath.Base(a.FilePath()); got != want.base {
			t.Errorf("%s is at %q", path, a.FilePath())
		}
	}
}
