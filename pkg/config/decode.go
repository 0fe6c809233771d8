package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// maxProblems bounds how many problems of one file are told.
const maxProblems = 20

// decoder reads a file's YAML by the tables of the schema. It goes on after a
// problem, so that all are told at once.
type decoder struct {
	c        *Configuration
	problems Problems
}

// value is a node of the file and the path of its key.
type value struct {
	*yaml.Node
	key string
}

// field is one key that a mapping may have, of what becomes a T.
type field[T any] struct {
	name string
	// takes says what the value may be, for errors and the reference.
	takes string
	// without is what holds if the key is left out, for the reference.
	without string
	// live tells whether a change takes effect without a restart, for the
	// reference.
	live string
	// what explains the key, for the reference.
	what string
	// example is what the default file shows: a value, or "# " and one.
	example string
	// set reads the value into to, or returns false if it is not what the key
	// takes. What it tells the decoder itself it does not also return.
	set func(d *decoder, v value, to *T) bool
}

// complain notes a problem with a value.
func (d *decoder) complain(v value, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{File: d.c.file, Line: v.Line, Column: v.Column, Key: v.key, Message: fmt.Sprintf(format, args...)})
	}
}

// mapping reads a mapping by the table of the keys it may have.
func mapping[T any](d *decoder, v value, fields []field[T], to *T) {
	d.pairs(v, func(name string, at value) {
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.name == name })
		if i < 0 {
			known := make([]string, len(fields))
			for i, f := range fields {
				known[i] = f.name
			}
			d.complain(at, "unknown key; known here are %s", strings.Join(known, ", "))
			return
		}
		if !fields[i].set(d, at, to) {
			d.complain(at, "got %s; it takes %s", shown(at), fields[i].takes)
		}
	})
}

// pairs calls each for every key of a mapping, with the value it has. A mapping
// that is left empty has none.
func (d *decoder) pairs(v value, each func(name string, at value)) {
	node := v.Node
	if isNull(node) {
		return
	}
	if node.Kind != yaml.MappingNode {
		d.complain(v, "got %s; it takes a mapping: keys with values", shown(v))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		k := node.Content[i]
		name := k.Value
		if k.Kind != yaml.ScalarNode || len(name) > maxKeyBytes {
			d.complain(value{k, v.key}, "got %s as a key; it takes a word", shown(value{Node: k}))
			continue
		}
		at := value{node.Content[i+1], join(v.key, name)}
		if line, twice := seen[name]; twice {
			d.complain(value{k, at.key}, "the key is there twice, first in line %d", line)
			continue
		}
		seen[name] = k.Line
		d.c.places[at.key] = position{at.Line, at.Column}
		each(name, value{positioned(at.Node, k), at.key})
	}
}

// maxKeyBytes is more than the longest key of a Kubernetes label has.
const maxKeyBytes = 400

// items calls each for every item of a sequence.
func (d *decoder) items(v value, each func(at value)) {
	node := v.Node
	if isNull(node) {
		return
	}
	if node.Kind != yaml.SequenceNode {
		d.complain(v, "got %s; it takes a list", shown(v))
		return
	}
	for i, item := range node.Content {
		at := value{item, v.key + "[" + strconv.Itoa(i) + "]"}
		d.c.places[at.key] = position{item.Line, item.Column}
		each(at)
	}
}

// positioned returns a node that tells the place of its key where it has none of
// its own: an empty value.
func positioned(node, key *yaml.Node) *yaml.Node {
	if node.Line > 0 {
		return node
	}
	at := *node
	at.Line, at.Column = key.Line, key.Column
	return &at
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// join adds a key to the path of the one above it. One that is not a plain word is
// quoted.
func join(above, name string) string {
	if !plainKey.MatchString(name) {
		return above + "[" + state.Quote(name) + "]"
	}
	if above == "" {
		return name
	}
	return above + "." + name
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,100}$`)

// shown tells what a value is, in few words.
func shown(v value) string {
	switch node := v.Node; {
	case isNull(node):
		return "nothing"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.AliasNode: // a few of them can stand for very much
		return "an alias (*" + node.Value + "), which has to be written out here"
	default:
		return state.Quote(node.Value)
	}
}

// text returns a scalar as it was written, whatever YAML takes it for: 0770 stays
// that.
func text(v value) (string, bool) {
	return v.Value, v.Kind == yaml.ScalarNode && !isNull(v.Node)
}

func boolean(v value) (b, ok bool) {
	s, ok := text(v)
	return s == "true", ok && (s == "true" || s == "false")
}

// maxFileBytes is that of a ConfigMap.
const maxFileBytes = 1 << 20

// Parse reads a configuration from r. Errors name the file as file, and are
// Problems unless reading itself failed.
func Parse(file string, r io.Reader) (*Configuration, error) {
	whole := func(message string) error { return Problems{{File: file, Message: message}} }
	contents, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(contents) > maxFileBytes {
		return nil, whole(fmt.Sprintf("it has more than %d bytes", maxFileBytes))
	}
	documents := yaml.NewDecoder(strings.NewReader(string(contents)))
	var document, more yaml.Node
	if err := documents.Decode(&document); errors.Is(err, io.EOF) || err == nil && isNull(document.Content[0]) {
		return nil, whole("it is empty; 'hostpath-csi config default' prints one to begin with")
	} else if err != nil {
		return nil, syntaxProblem(file, err)
	}
	if err := documents.Decode(&more); err == nil {
		return nil, Problems{{File: file, Line: more.Line, Column: more.Column, Message: "there is a second document; it takes one"}}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(file, err)
	}
	c := &Configuration{Defaults: Builtin(), file: file, places: map[string]position{}}
	d := decoder{c: c}
	d.document(value{Node: document.Content[0]})
	if len(d.problems) == 0 { // else what is missing may be what was misspelt
		d.problems = c.validate()
	}
	if err := d.problems.orNil(); err != nil {
		return nil, err
	}
	return c, nil
}

var yamlError = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// syntaxProblem is what the YAML library complains about.
func syntaxProblem(file string, err error) error {
	p := Problem{File: file, Message: err.Error()}
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		p.Message = "it is not YAML: " + m[2]
		if m[1] != "" {
			p.Line, _ = strconv.Atoi(m[1])
			p.Column = 1
		}
	}
	return Problems{p}
}
