package state

import (
	"strings"
	"testing"
)

const (
	provisioned = "pvc-93b1c7d2-5c1c-4b7a-9a53-0a2f5e6d7c8b"
	hashed      = "hp-0123456789abcdef0123456789abcdef01234567"
)

func TestAPlaceIsNamedByItsBeginningAndItsID(t *testing.T) {
	for _, c := range []struct{ begins, id, want string }{
		{"data-db-0-", provisioned, "data-db-0-" + provisioned},
		{"data-db-0-", hashed, "data-db-0-" + hashed},
		{"", provisioned, provisioned},
		{"data-db-0-", "my-data", "data-db-0=my-data"}, // else it were also my-data of "0-", and data of "my-"
		{"", "my-data", "=my-data"},
		{"../../etc/", provisioned, "_._.._etc_" + provisioned},
		{"-rf ", provisioned, "_rf_" + provisioned},
		{"a=b", "c", "a_b=c"},
		{"\x00\n\xff", "c", "___=c"},
		{strings.Repeat("n", 300), provisioned, strings.Repeat("n", 255-len(provisioned)) + provisioned},
	} {
		if got := PlaceName(c.begins, c.id); got != c.want {
			t.Errorf("PlaceName(%q, %q) is %q, want %q", c.begins, c.id, got, c.want)
		}
	}
}

func TestADirectoryIsNeverCalledWhatAPlaceIs(t *testing.T) {
	for name, want := range map[string]string{
		"shop": "shop", "": "_", "..": "_.", ".": "_", "-rf": "_rf", "a/b": "a_b", "a=b": "a_b",
		provisioned:              provisioned + "_",
		"team-" + hashed:         "team-" + hashed + "_",
		strings.Repeat("n", 300): strings.Repeat("n", 99),
		strings.Repeat("n", 99-len(provisioned)) + provisioned: strings.Repeat("n", 99-len(provisioned)) + provisioned[:len(provisioned)-1] + "_",
	} {
		if got := DirectoryName(name); got != want {
			t.Errorf("DirectoryName(%q) is %q, want %q", name, got, want)
		}
	}
}

func TestOnlyPathsThatCouldHaveBeenMadeHaveAnID(t *testing.T) {
	for path, want := range map[string]string{
		"shop/data-" + provisioned:        provisioned,
		provisioned:                       provisioned,
		"a/b/c/d/x=e":                     "e",
		"a/b/c/d/f/x=e":                   "", // too deep
		"shop":                            "",
		"":                                "",
		"/" + provisioned:                 "",
		"shop//" + provisioned:            "",
		"shop/../" + provisioned:          "",
		"./" + provisioned:                "",
		provisioned + "/" + provisioned:   "", // in another's
		"x=a/x=b":                         "",
		"shop/" + provisioned + "/":       "",
		"shop/.x" + provisioned:           "",
		"a b/" + provisioned:              "",
		"shop/x=" + provisioned:           "", // which stands without the mark
		"shop/x=y=z":                      "",
		"shop/x=Y":                        "",
		strings.Repeat("n", 100) + "/x=a": "",
		"shop/" + strings.Repeat("n", 256) + "=a": "",
	} {
		if got, ok := PathID(path); ok != (want != "") || ok && got != want {
			t.Errorf("PathID(%q) is %q, %v; want %q", path, got, ok, want)
		}
	}
}

// FuzzPlaces: whatever claims are called, two volumes never have one path, and none
// lies in another.
func FuzzPlaces(f *testing.F) {
	for _, s := range []string{"", "data-", "..", "a/b", "x=", provisioned, hashed, "team-" + provisioned, "=a", "ü"} {
		f.Add(s, "shop", "first", s+"pvc-1", "second")
		f.Add("shop", s, "pvc-1", "x", "hp-"+s)
		f.Add("a", s, provisioned, "a", "b-"+provisioned)
	}
	f.Fuzz(func(t *testing.T, dir, begins, name, otherDir, otherName string) {
		path := func(dir, begins, name string) string {
			id := VolumeID(name)
			p := DirectoryName(dir) + "/" + PlaceName(begins, id)
			if got, ok := PathID(p); !ok || got != id {
				t.Fatalf("of %q in %q the path is %q, whose ID is %q (%v), not %q", begins, dir, p, got, ok, id)
			}
			return p
		}
		one, other := path(dir, begins, name), path(otherDir, begins, otherName)
		flat := PlaceName(begins, VolumeID(otherName))
		if id, ok := PathID(flat); !ok || id != VolumeID(otherName) {
			t.Fatalf("PathID(%q) is %q", flat, id)
		}
		if VolumeID(name) == VolumeID(otherName) {
			return
		}
		for _, p := range []string{other, flat} {
			if one == p || strings.HasPrefix(one, p+"/") || strings.HasPrefix(p, one+"/") {
				t.Fatalf("%q and %q are paths of two volumes", one, p)
			}
		}
	})
}
