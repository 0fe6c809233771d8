package show

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Progress is a line on a person's terminal that tells how far long work is. It is written anew
// each time, and wiped away when the work is done. Where nobody sees it, it is nil, and nothing
// is written.
type Progress struct {
	out   *os.File
	style Style
}

// ProgressOn returns a line on out, if that is a terminal.
func ProgressOn(out io.Writer) *Progress {
	f, ok := out.(*os.File)
	if !ok || !IsTerminal(out) {
		return nil
	}
	return &Progress{out: f, style: StyleFor(out)}
}

// Share tells how much of the work is done.
func (p *Progress) Share(done, of int, what string) {
	if p != nil && of > 0 {
		p.line(p.style.Bar(float64(done)/float64(of)) + " " + Line(what))
	}
}

// Waiting tells for what, and how long already, where nobody knows how long it will take.
func (p *Progress) Waiting(what string, already time.Duration) {
	if p != nil {
		p.line(fmt.Sprintf("%s (%s)", Line(what), already.Truncate(time.Second)))
	}
}

// End wipes the line away.
func (p *Progress) End() {
	if p != nil {
		fmt.Fprint(p.out, clearLine)
	}
}

// clearLine has a terminal write its line anew.
const clearLine = "\r\x1b[K"

// line writes what fits: the rest of a longer one would stay on the screen.
func (p *Progress) line(text string) {
	columns := 80
	if size, err := unix.IoctlGetWinsize(int(p.out.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		columns = int(size.Col)
	}
	if runes := []rune(text); len(runes) >= columns {
		text = string(runes[:columns-1])
	}
	fmt.Fprint(p.out, clearLine+text)
}
