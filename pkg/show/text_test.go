package show

import (
	"strings"
	"testing"
	"unicode"
)

func TestANameIsShownAsItIsOrQuoted(t *testing.T) {
	for name, want := range map[string]string{
		"":                   "-",
		"pvc-1":              "pvc-1",
		"/mnt/pool/volumes":  "/mnt/pool/volumes",
		"größe":              "größe",
		"-":                  `"-"`,
		"two words":          `"two words"`,
		"a\nb":               `"a\nb"`,
		"\x1b[31mred":        `"\x1b[31mred"`,
		"\u202egpj.exe":      `"\u202egpj.exe"`,
		"\u009b31m":          `"\u009b31m"`,
		"\xff\xfe":           `"\xff\xfe"`,
		`"quoted"`:           `"\"quoted\""`,
		"non\u00a0breaking":  `"non\u00a0breaking"`,
		"zero\u200bwidth":    `"zero\u200bwidth"`,
		"half\"quoted":       `half"quoted`,
		"unit\u0000nul":      `"unit\x00nul"`,
		"tab\tseparated":     `"tab\tseparated"`,
		"line\u2028or\u2029": `"line\u2028or\u2029"`,
	} {
		if got := Name(name); got != want {
			t.Errorf("Name(%q) is %s, want %s", name, got, want)
		}
	}
	if got := Name(strings.Repeat("x", 5000)); len(got) > 150 || !strings.Contains(got, "5000 bytes") {
		t.Errorf("a name of 5000 bytes is shown as %s", got)
	}
}

func FuzzText(f *testing.F) {
	f.Add("pvc-1")
	f.Add("\x1b[2J")
	f.Add("\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for what, got := range map[string]string{"Name": Name(s), "Line": Line(s)} {
			for _, r := range got {
				if !unicode.IsPrint(r) {
					t.Errorf("%s(%q) is %q, which has %q in it", what, s, got, r)
				}
			}
		}
		if got := Name(s); strings.Contains(got, " ") && !strings.HasPrefix(got, `"`) {
			t.Errorf("Name(%q) is %s: two columns", s, got)
		}
	})
}
