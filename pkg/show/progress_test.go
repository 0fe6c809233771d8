package show

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// onTerminal returns all that work writes on a terminal of so many columns.
func onTerminal(t *testing.T, columns uint16, work func(p *Progress)) string {
	t.Helper()
	terminal, of, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 5, Cols: columns}); err != nil {
		t.Fatal(err)
	}
	written := make(chan string)
	go func() {
		b, _ := io.ReadAll(terminal) // it ends with an error, when the other end is closed
		written <- string(b)
	}()
	work(ProgressOn(of))
	of.Close()
	return <-written
}

func TestProgressIsALineThatIsWipedAway(t *testing.T) {
	t.Setenv("LC_ALL", "C")
	out := onTerminal(t, 60, func(p *Progress) {
		p.Share(1, 4, "counting pvc-1")
		p.Share(3, 4, "counting pvc-2")
		p.Waiting("for node n1", 72*time.Second+time.Millisecond)
		p.End()
	})
	want := clearLine + "###------- 25% counting pvc-1" + clearLine + "########-- 75% counting pvc-2" + clearLine + "for node n1 (1m12s)" + clearLine
	if out != want {
		t.Errorf("it writes %q\nwant %q", out, want)
	}
}

func TestProgressKeepsToItsLine(t *testing.T) {
	out := onTerminal(t, 30, func(p *Progress) { p.Share(1, 2, strings.Repeat("long ", 20)+"\nand hostile\x1b[2J") })
	if line := []rune(strings.TrimPrefix(out, clearLine)); len(line) != 29 || strings.ContainsAny(string(line), "\n\x1b") {
		t.Errorf("it writes %q", out)
	}
}

func TestNobodyIsToldOfProgressWhoDoesNotSeeIt(t *testing.T) {
	var b bytes.Buffer
	p := ProgressOn(&b)
	p.Share(1, 2, "x")
	p.Waiting("x", time.Second)
	p.End()
	if b.Len() > 0 {
		t.Errorf("a pipe is given %q", b.String())
	}
}
