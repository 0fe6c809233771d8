package state

import (
	"strings"
	"testing"
)

func TestVolumeID(t *testing.T) {
	long := strings.Repeat("a", maxPlainID)
	for name, want := range map[string]string{
		"pvc-0c5f9f0e-8f3b-4b0e-9e5b-1f2d3c4b5a69": "pvc-0c5f9f0e-8f3b-4b0e-9e5b-1f2d3c4b5a69",
		"a":        "a",
		"0":        "0",
		"a.b-c":    "a.b-c",
		"hp":       "hp",
		"hpx-a":    "hpx-a",
		long:       long,
		"":         "hp-e3b0c44298fc1c149afbf4c8996fb92427ae41e4",
		"A":        "hp-559aead08264d5795d3909718cdd05abd49572e8",
		"..":       "hp-5ec1f7e700f37c3d0b2981d04855fc34b94aaa15",
		"hp-abc":   "",
		long + "a": "",
		"a/b":      "",
		"a_b":      "",
		"-a":       "",
		"a-":       "",
		"a..b":     "",
		".a":       "",
		"a.":       "",
		"a.-b":     "",
		"ä":        "",
		"a\x00":    "",
		"a\n":      "",
	} {
		got := VolumeID(name)
		if want != "" && got != want {
			t.Errorf("VolumeID(%q) = %q, want %q", name, got, want)
		}
		if want == "" && !strings.HasPrefix(got, hashedPrefix) {
			t.Errorf("VolumeID(%q) = %q, want a hash", name, got)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "a.b": true, "0-0": true, "hp-00": true, strings.Repeat("a", 63): true,
		"": false, ".": false, "..": false, "a/b": false, "/": false, "A": false, "-": false, "a ": false, "a\x00": false,
		"\xff": false, strings.Repeat("a", 64): false, strings.Repeat("a", 1<<20): false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
}

func FuzzVolumeID(f *testing.F) {
	for _, name := range []string{"", "a", "pvc-1", "hp-", "hp-a", "A", "../x", "a..b", strings.Repeat("a", 64), "ä", "\xff", "a\x00b"} {
		f.Add(name, "pvc-1")
		f.Add(name, name+"x")
	}
	f.Fuzz(func(t *testing.T, name, other string) {
		id := VolumeID(name)
		if !ValidID(id) || len(id) > MaxIDBytes {
			t.Errorf("VolumeID(%q) = %q, which is no valid ID", name, id)
		}
		if strings.ContainsAny(id, "/\x00") || id == "." || id == ".." {
			t.Errorf("VolumeID(%q) = %q, which is no file name", name, id)
		}
		reserved := strings.HasPrefix(name, hashedPrefix)
		if plain := ValidID(name) && !reserved; (id == name) != plain {
			t.Errorf("VolumeID(%q) = %q, although the name is plain: %v", name, id, plain)
		}
		if reserved && !strings.HasPrefix(id, hashedPrefix) {
			t.Errorf("VolumeID(%q) = %q: a reserved name is not hashed", name, id)
		}
		if id != VolumeID(name) {
			t.Errorf("VolumeID(%q) is not always the same", name)
		}
		if (id == VolumeID(other)) != (name == other) {
			t.Errorf("VolumeID(%q) = %q, VolumeID(%q) = %q", name, id, other, VolumeID(other))
		}
	})
}
