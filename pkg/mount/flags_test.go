package mount

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestParseFlags(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want string // as String gives it; "" is an error
	}{
		{nil, "rw"},
		{[]string{"bind"}, "rw"},
		{[]string{"rw"}, "rw"},
		{[]string{"ro", "ro"}, "ro"},
		{[]string{"noexec", "nosuid", "nodev"}, "rw,nosuid,nodev,noexec"},
		{[]string{"exec", "suid", "dev", "symfollow", "diratime"}, "rw,suid,dev,exec,symfollow,diratime"},
		{[]string{"atime", "relatime"}, "rw,relatime"},
		{[]string{"noatime", "nodiratime", "nosymfollow"}, "rw,nosymfollow,nodiratime,noatime"},
		{[]string{"strictatime"}, "rw,strictatime"},
		{[]string{"ro", "rw"}, ""},
		{[]string{"noatime", "relatime"}, ""},
		{[]string{"exec", "ro", "noexec"}, ""},
		{[]string{"ro,noexec"}, ""},
		{[]string{"rbind"}, ""},
		{[]string{""}, ""},
		{[]string{"RO"}, ""},
	} {
		o, err := ParseFlags(c.in)
		switch {
		case c.want == "" && state.ReasonOf(err) != state.Invalid:
			t.Errorf("%q: %v, %v; want Invalid", c.in, o, err)
		case c.want != "" && (err != nil || o.String() != c.want):
			t.Errorf("%q: %v, %v; want %s", c.in, o, err, c.want)
		}
	}
}

func TestParseFlagsTellsNoSecret(t *testing.T) {
	_, err := ParseFlags([]string{"password=hunter2"})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "password=") || !strings.Contains(err.Error(), "nosuid") {
		t.Errorf("%v; want the key, what is taken, and not the value", err)
	}
	_, err = ParseFlags([]string{"ro,password=hunter2"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v; want an error without the value", err)
	}
}

func TestMet(t *testing.T) {
	const ro, noexec, noatime, strict = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOEXEC, unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME
	for _, c := range []struct {
		flags        string
		actual, pool attrs
		want         bool
	}{
		{"", 0, 0, true},
		{"", ro, 0, false},
		{"", ro, ro, false}, // read-only-ness is never taken from the pool
		{"ro", ro, 0, true},
		{"ro", 0, ro, false},
		{"", noexec, 0, false},
		{"", noexec, noexec, true},
		{"", 0, noexec, true}, // the pool was tightened later
		{"noexec", 0, noexec, false},
		{"noexec", noexec, 0, true},
		{"exec", 0, noexec, true},
		{"exec", noexec, noexec, false},
		{"", noatime, noatime, true},
		{"", noatime, 0, false},
		{"", 0, noatime, true},
		{"", strict, noatime, false},
		{"relatime", 0, noatime, true},
		{"atime", noatime, noatime, false},
		{"strictatime", strict, 0, true},
		{"strictatime", 0, 0, false},
		{"noatime", strict, 0, false},
	} {
		var names []string
		if c.flags != "" {
			names = []string{c.flags}
		}
		o, err := ParseFlags(names)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.met(c.actual, c.pool); got != c.want {
			t.Errorf("asked %q, mounted %s, pool %s: %v, want %v", c.flags, describeAll(c.actual), describeAll(c.pool), got, c.want)
		}
	}
}

func FuzzParseFlags(f *testing.F) {
	for _, s := range []string{"", "ro", "rw\nnoexec", "ro\nrw", "bind\nnoatime\nstrictatime", "a=b", "x,y", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseFlags(strings.Split(s, "\n"))
		if err != nil {
			if state.ReasonOf(err) != state.Invalid || o != (Options{}) {
				t.Fatalf("%q: %v, %v", s, o, err)
			}
			return
		}
		again, err := ParseFlags(strings.Split(o.String(), ","))
		if err != nil || again != o {
			t.Fatalf("%q is %v, which is read back as %v, %v", s, o, again, err)
		}
		set, clr := o.change()
		if made := (attrs(unix.MOUNT_ATTR_NOEXEC)&^clr | set); !o.met(made, unix.MOUNT_ATTR_NOEXEC) {
			t.Fatalf("%q: what it makes is not what it asks for", s)
		}
	})
}
