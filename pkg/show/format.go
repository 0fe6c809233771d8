package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// Format is how a list is written; it is the value of the flag --output.
type Format string

// The formats.
const (
	AsTable Format = "table"
	AsWide  Format = "wide"
	AsJSON  Format = "json"
	AsYAML  Format = "yaml"
)

// Formats are all of them.
var Formats = []string{string(AsTable), string(AsWide), string(AsJSON), string(AsYAML)}

// String is the format's name.
func (f *Format) String() string { return string(*f) }

// Type is what usage texts call a format.
func (f *Format) Type() string { return "format" }

// Set takes the name of a format.
func (f *Format) Set(name string) error {
	if !slices.Contains(Formats, name) {
		return fmt.Errorf("it takes %s", strings.Join(Formats, ", "))
	}
	*f = Format(name)
	return nil
}

// Print writes a list as the format says: for programs the list itself, which has to be
// an object of one JSON field, and for people the table that is made of it.
func Print(out io.Writer, f Format, s Style, list any, table func(wide bool) Table) error {
	switch f {
	case AsJSON:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(list); err != nil {
			return err
		}
		_, err := io.WriteString(out, harmless(b.String()))
		return err
	case AsYAML:
		b, err := yaml.Marshal(list)
		if err != nil {
			return err
		}
		_, err = out.Write(b)
		return err
	}
	return table(f == AsWide).Write(out, s)
}

// harmless escapes what JSON has as it is and a terminal might obey.
func harmless(encoded string) string {
	var b strings.Builder
	for _, r := range encoded {
		if r == '\n' || unicode.IsPrint(r) || r > 0xffff { // beyond are no control characters
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}
