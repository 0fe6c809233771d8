package show

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Confirm asks a person whether a command shall do to some things what cannot be undone; an
// error unless the answer is yes. Where nobody can be asked it says what to give instead.
func Confirm(in io.Reader, out io.Writer, does string, things []string) error {
	if f, ok := in.(*os.File); !ok || !IsTerminal(f) || !IsTerminal(out) {
		return errors.New("there is no terminal to ask on, and it cannot be undone: give --yes")
	}
	fmt.Fprintf(out, "It %s, for good:\n", does)
	for _, thing := range things {
		fmt.Fprintf(out, "  %s\n", Name(thing))
	}
	fmt.Fprint(out, "Go on? [y/N] ")
	answer, _ := bufio.NewReader(in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing is done")
}
