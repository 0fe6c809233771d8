package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// flagOptions are what may follow NAME=PATH in a --pool flag, with the key that each is
// in the file. "filesystem" is of the image or the device, and "projectIDs" two keys.
var flagOptions = map[string]string{
	"image": "image.path", "size": "image.size", "provisioning": "image.provisioning",
	"device": "device.path", "filesystem": "", "projectIDs": "",
	"enforcement": "enforcement", "reserve": "reserve", "overcommit": "overcommit",
	"cordoned": "cordoned", "requireMountPoint": "requireMountPoint",
}

// ParsePoolFlag reads a pool as a flag has it: NAME=PATH[,OPTION=VALUE]... The values are
// those of the keys in a file.
func ParsePoolFlag(given string) (Pool, error) {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("--pool %s: %s", state.Quote(given), fmt.Sprintf(format, args...))
	}
	name, rest, ok := strings.Cut(given, "=")
	if !ok {
		return Pool{}, wrong("it takes NAME=PATH[,OPTION=VALUE]..., such as default=/var/lib/hostpath-csi/pool")
	}
	parts := strings.Split(rest, ",")
	f := flagFile{root: &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1}}
	f.set("name", "name", name)
	f.set("path", "path", parts[0])
	onDevice := slices.ContainsFunc(parts[1:], func(part string) bool { return strings.HasPrefix(part, "device=") })
	seen := map[string]bool{}
	for _, part := range parts[1:] {
		option, value, ok := strings.Cut(part, "=")
		key, known := flagOptions[option]
		switch {
		case !ok || !known:
			return Pool{}, wrong("got %s; it takes OPTION=VALUE, with an option of %s (a path with a comma takes a configuration file)",
				state.Quote(part), strings.Join(slices.Sorted(maps.Keys(flagOptions)), ", "))
		case seen[option]:
			return Pool{}, wrong("%s is there twice", option)
		}
		seen[option] = true
		switch {
		case option == "filesystem" && onDevice:
			key = "device.filesystem"
		case option == "filesystem":
			key = "image.filesystem"
		case option == "projectIDs":
			first, last, ok := strings.Cut(value, "-")
			if !ok {
				return Pool{}, wrong("projectIDs: got %s; it takes FIRST-LAST", state.Quote(value))
			}
			f.set(option, "projectIDs.first", first)
			f.set(option, "projectIDs.last", last)
			continue
		}
		f.set(option, key, value)
	}
	for _, option := range []string{"size", "provisioning"} {
		if seen[option] && !seen["image"] {
			return Pool{}, wrong("%s is given without image", option)
		}
	}
	if seen["filesystem"] && !seen["image"] && !seen["device"] {
		return Pool{}, wrong("filesystem is given without image or device")
	}
	c := &Configuration{Defaults: Builtin(), places: map[string]position{}}
	d := decoder{c: c}
	d.pools(value{Node: &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{f.root}}, key: "pools"})
	if len(d.problems) == 0 {
		d.problems = c.validate()
	}
	if len(d.problems) > 0 {
		return Pool{}, wrong("%s", f.told(d.problems[0]))
	}
	return c.Pools[0], nil
}

// flagFile is the pool of a flag as it would be in a file, so that both are read alike.
type flagFile struct {
	root    *yaml.Node
	options []string // the flag's option, by the line of its value
}

func scalar(s string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Line: line, Column: 1}
}

// set adds a key such as "image.size".
func (f *flagFile) set(option, key, value string) {
	f.options = append(f.options, option)
	line := len(f.options)
	at := f.root
	outer, inner, nested := strings.Cut(key, ".")
	if nested {
		i := slices.IndexFunc(at.Content, func(n *yaml.Node) bool { return n.Value == outer })
		if i < 0 {
			at.Content = append(at.Content, scalar(outer, line), &yaml.Node{Kind: yaml.MappingNode, Line: line, Column: 1})
			i = len(at.Content) - 2
		}
		at, outer = at.Content[i+1], inner
	}
	at.Content = append(at.Content, scalar(outer, line), scalar(value, line))
}

// told is a problem in the words of the flag.
func (f *flagFile) told(p Problem) string {
	option := strings.TrimPrefix(p.Key, "pools[0].")
	if p.Line > 0 && p.Line <= len(f.options) && !strings.HasSuffix(p.Message, "is missing") {
		option = f.options[p.Line-1]
	}
	return option + ": " + p.Message
}
