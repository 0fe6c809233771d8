package show

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Style is what the reader of a table can be shown.
type Style struct {
	// Color is for terminals whose user has not set NO_COLOR.
	Color bool
	// Unicode has bars drawn with block characters.
	Unicode bool
}

// StyleFor returns the style for what is written to out.
func StyleFor(out io.Writer) Style {
	locale := os.Getenv("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = os.Getenv(name)
		}
	}
	locale = strings.ToLower(strings.ReplaceAll(locale, "-", ""))
	return Style{
		Color:   IsTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		Unicode: strings.Contains(locale, "utf8"),
	}
}

// IsTerminal tells whether a person sees what is written to out.
func IsTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Color marks what a reader is to see first.
type Color int

// The colors, which a terminal shows as it is set up to.
const (
	Plain Color = iota
	Good
	Doubtful
	Bad
	Faint
)

var escapes = map[Color]string{Good: "\x1b[32m", Doubtful: "\x1b[33m", Bad: "\x1b[31m", Faint: "\x1b[2m"}

// Paint colors text.
func (s Style) Paint(c Color, text string) string {
	if !s.Color || escapes[c] == "" || text == "" {
		return text
	}
	return escapes[c] + text + "\x1b[0m"
}

// Bar draws a share of a whole, from 0 to 1, and tells it in percent.
func (s Style) Bar(share float64) string {
	const width = 10
	full, empty := "#", "-"
	if s.Unicode {
		full, empty = "█", "░"
	}
	n := min(width, max(0, int(share*width+0.5)))
	return strings.Repeat(full, n) + strings.Repeat(empty, width-n) + " " + percent(share)
}

// fullness is the color of a share of a whole that is better not all.
func fullness(share float64) Color {
	switch {
	case share >= 0.95:
		return Bad
	case share >= 0.8:
		return Doubtful
	}
	return Good
}
