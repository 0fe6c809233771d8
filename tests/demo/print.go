package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// printer writes the demo's text, with colours on a terminal unless NO_COLOR is set.
type printer struct {
	file   *os.File
	colour bool
	dir    string // is written as "DIR"
	step   int
}

func newPrinter(file *os.File) *printer {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return &printer{file: file, colour: err == nil && os.Getenv("NO_COLOR") == ""}
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (p *printer) paint(style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *printer) line(indent, text string) {
	if p.dir != "" {
		text = strings.ReplaceAll(text, p.dir, "DIR")
	}
	fmt.Fprintf(p.file, "%s%s\n", indent, text)
}

// where tells what is written as "DIR" from here on.
func (p *printer) where(dir string) {
	p.line("", "Everything happens in "+dir+", called DIR below.")
	p.dir = dir
}

// heading begins a step.
func (p *printer) heading(title string) {
	p.step++
	p.line("\n", p.paint(bold, fmt.Sprintf("%2d. %s", p.step, title)))
}

// call shows what is asked of the driver, or done beside it.
func (p *printer) call(format string, args ...any) {
	p.line("    ", p.paint(dim, "> "+fmt.Sprintf(format, args...)))
}

// seen states something that was checked and found so.
func (p *printer) seen(format string, args ...any) {
	p.line("    ", p.paint(green, "ok")+" "+fmt.Sprintf(format, args...))
}

// note explains; it claims nothing that was checked.
func (p *printer) note(format string, args ...any) {
	p.line("       ", fmt.Sprintf(format, args...))
}

func (p *printer) failure(err error) {
	p.line("\n", p.paint(red, "FAILED")+" "+err.Error())
}

func (p *printer) log(text string) {
	p.line("\n", "The driver's last lines:\n    "+strings.ReplaceAll(text, "\n", "\n    "))
}

func (p *printer) end(text string) { p.line("\n", p.paint(bold, text)) }

// size writes bytes as people read them.
func size(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[unit]
}
