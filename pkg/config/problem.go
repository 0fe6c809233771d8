package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration file, and where.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0: the file as a whole
	Key          string // the key's path, such as "pools[1].reserve"; "": the file as a whole
	Message      string // what is wrong: what it got, and what it takes
}

func (p Problem) Error() string {
	s := p.File
	if p.Line > 0 {
		s += fmt.Sprintf(":%d:%d", p.Line, p.Column)
	}
	if p.Key != "" {
		s += ": " + p.Key
	}
	return s + ": " + p.Message
}

// Problems is everything that is wrong with a configuration file, a line for each
// problem.
type Problems []Problem

func (all Problems) Error() string {
	lines := make([]string, len(all))
	for i, p := range all {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// orNil returns the problems in the order of the file, or no error at all if there
// are none. Of one place they have an order, too: what was told before is known by its text.
func (all Problems) orNil() error {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Message, b.Message))
	})
	return all
}

// position is a place in a file, counted from 1.
type position struct{ line, column int }

// problem is one with the value of a key, or with the nearest key above it that was
// given.
func (c *Configuration) problem(key, format string, args ...any) Problem {
	p := Problem{File: c.file, Key: key, Message: fmt.Sprintf(format, args...)}
	for at := key; at != ""; at = parent(at) {
		if pos, ok := c.places[at]; ok {
			p.Line, p.Column = pos.line, pos.column
			break
		}
	}
	return p
}

// parent returns the path of the key that holds another: "pools[1]" for
// "pools[1].path", and "pools" for that.
func parent(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}
