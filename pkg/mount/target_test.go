package mount

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestValidTarget(t *testing.T) {
	for target, valid := range map[string]bool{
		"/a":                           true,
		"/a b/\n/ü/.../..a":            true,
		"":                             false,
		"/":                            false,
		"//":                           false,
		"a":                            false,
		"./a":                          false,
		"/a/":                          false,
		"/a//b":                        false,
		"/a/./b":                       false,
		"/a/..":                        false,
		"/a\x00b":                      false,
		"/" + strings.Repeat("a", 255): true,
		"/" + strings.Repeat("a", 256): false,
		strings.Repeat("/a", 2047):     true,
		strings.Repeat("/a", 2048):     false,
	} {
		if err := ValidTarget(target); (err == nil) != valid || err != nil && state.ReasonOf(err) != state.Invalid {
			t.Errorf("%s: %v; valid: %v", state.Quote(target), err, valid)
		}
	}
}

func FuzzValidTarget(f *testing.F) {
	for _, s := range []string{"", "/", "/a/b", "/a/../b", "//a", "/a/", "/a/.", "/\x00", "/\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := ValidTarget(s)
		want := path.IsAbs(s) && path.Clean(s) == s && s != "/" && len(s) <= 4095 && !strings.Contains(s, "\x00")
		for _, element := range strings.Split(s, "/") {
			want = want && len(element) <= 255
		}
		if (err == nil) != want {
			t.Fatalf("%q: %v; want valid: %v", s, err, want)
		}
		if err != nil && (!utf8.ValidString(err.Error()) || strings.Contains(err.Error(), "\x00") || len(err.Error()) > 2000) {
			t.Fatalf("%q: the message is not fit to be sent", s)
		}
	})
}

func TestCanonical(t *testing.T) {
	table := &Table{
		trusted: []trustedRoot{{"/var/lib/kubelet", "/disk/kubelet"}, {"/var/lib/kubelet/pods", "/fast/pods"}},
		pools:   map[string]pool{"p": {dir: "/disk"}},
	}
	for target, want := range map[string]string{
		"/var/lib/kubelet/x":      "/disk/kubelet/x",
		"/var/lib/kubelet/pods/x": "/fast/pods/x",
		"/var/lib/kubelet/podsx":  "/disk/kubelet/podsx",
		"/var/lib/kubeletx/y":     "/var/lib/kubeletx/y",
		"/disk/kubelet/x":         "/disk/kubelet/x",
		"/disk":                   "",
		"/disk/volumes":           "",
		"/disk/volumes/a/b":       "",
		"/disk/.trash/a":          "",
		"/disk/volumesx":          "/disk/volumesx",
		"relative":                "",
	} {
		got, err := table.canonical(target)
		if got != want || (err == nil) != (want != "") || err != nil && state.ReasonOf(err) != state.Invalid {
			t.Errorf("%s: %q, %v; want %q", target, got, err, want)
		}
	}
}
