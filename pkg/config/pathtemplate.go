package config

import (
	"fmt"
	"strings"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// PathTemplate names the directories of volumes after their claims. It is text with
// fields in it, such as
//
//	{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}
//
// and no program: of text/template it has the look of the fields. Only the template itself
// makes directories; a "/" in what a field stands for does not. It ends in the volume's
// ID, by which places are told apart: see state.PlaceName.
type PathTemplate struct {
	text   string
	levels [][]piece // of each directory, and of what is before the ID
}

// piece is a text, or a field.
type piece struct {
	text  string
	field *pathField
}

type pathField struct {
	name string
	of   func(c state.Claim) string
}

// volumeIDField is at the end of each template, and in no piece.
const volumeIDField = ".VolumeID"

var pathFields = []pathField{
	{".PVC.Namespace", func(c state.Claim) string { return c.Namespace }},
	{".PVC.Name", func(c state.Claim) string { return c.Name }},
	{".PV.Name", func(c state.Claim) string { return c.PV }},
}

// maxTemplateBytes bounds a template.
const maxTemplateBytes = 500

// ParsePathTemplate reads a template. Errors tell at which character something is wrong.
func ParsePathTemplate(s string) (*PathTemplate, error) {
	if len(s) > maxTemplateBytes {
		return nil, fmt.Errorf("it has %d characters, and may have %d", len(s), maxTemplateBytes)
	}
	t := &PathTemplate{text: s, levels: [][]piece{nil}}
	for at := 0; at < len(s); {
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("character %d: %s", at+1, fmt.Sprintf(format, args...))
		}
		level := &t.levels[len(t.levels)-1]
		rest := s[at:]
		if inside, ok := strings.CutPrefix(rest, "{{"); ok {
			inside, _, ok = strings.Cut(inside, "}}")
			if !ok {
				return nil, wrong("{{ has no }}")
			}
			name := strings.TrimSpace(inside)
			if name == volumeIDField {
				if at += len(inside) + 4; at < len(s) {
					return nil, wrong("after {{ %s }} there can be nothing", volumeIDField)
				}
				return t, nil
			}
			i := 0
			for i < len(pathFields) && pathFields[i].name != name {
				i++
			}
			if i == len(pathFields) {
				return nil, wrong("there is no field %s; there are %s", state.Quote(name), fieldNames())
			}
			*level = append(*level, piece{field: &pathFields[i]})
			at += len(inside) + 4
			continue
		}
		switch c := rest[0]; {
		case c == '/' && len(*level) == 0:
			return nil, wrong("there is no name before the /")
		case c == '/' && len(t.levels) > state.MaxDirectories:
			return nil, wrong("this is directory %d; there can be %d", len(t.levels), state.MaxDirectories)
		case c == '/':
			t.levels = append(t.levels, nil)
			at++
			continue
		case (c == '.' || c == '-') && len(*level) == 0:
			return nil, wrong("a name cannot begin with %q", c)
		case !state.IsNameText(rest[:1]):
			return nil, wrong("%s cannot stand here; it takes letters, digits, '.', '_', '-', '/' and fields", state.Quote(firstRune(rest)))
		}
		n := 1
		for n < len(rest) && state.IsNameText(rest[n:n+1]) {
			n++
		}
		*level = append(*level, piece{text: rest[:n]})
		at += n
	}
	return nil, fmt.Errorf("character %d: it has to end with {{ %s }}, by which directories are told apart", len(s)+1, volumeIDField)
}

func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}

func fieldNames() string {
	var names []string
	for _, f := range pathFields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ") + " and " + volumeIDField
}

// String returns the template as it was given.
func (t *PathTemplate) String() string { return t.text }

// Path returns where the volume of this ID and claim lies, as state.VolumeSpec has it.
// Invalid if the provisioner did not tell what the template takes.
func (t *PathTemplate) Path(id string, claim *state.Claim) (string, error) {
	var c state.Claim
	if claim != nil {
		c = *claim
	}
	names := make([]string, len(t.levels))
	for i, level := range t.levels {
		var b strings.Builder
		for _, p := range level {
			if p.field == nil {
				b.WriteString(p.text)
				continue
			}
			value := p.field.of(c)
			if value == "" {
				return "", state.Errorf(state.Invalid, "parameters: pathTemplate is %s, and the caller does not tell %s: run csi-provisioner with --extra-create-metadata",
					state.Quote(t.text), p.field.name)
			}
			b.WriteString(value)
		}
		if names[i] = state.PlaceName(b.String(), id); i < len(t.levels)-1 {
			names[i] = state.DirectoryName(b.String())
		}
	}
	return strings.Join(names, "/"), nil
}
