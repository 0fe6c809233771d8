package state

import (
	"strconv"
	"unicode/utf8"
)

// Quote shows a value of any length and bytes in one short line, for errors about
// what came from outside.
func Quote(s string) string {
	const most = 100
	if len(s) <= most {
		return strconv.Quote(s)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}
