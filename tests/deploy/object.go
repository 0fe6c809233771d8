package deploy

import (
	"fmt"
	"strings"
)

// object is any Kubernetes object, as its YAML has it.
type object map[string]any

func (o object) kind() string { s, _ := o["kind"].(string); return s }
func (o object) name() string { s, _ := at(o, "metadata", "name").(string); return s }

// key names an object among others.
func (o object) key() string {
	space, _ := at(o, "metadata", "namespace").(string)
	return fmt.Sprintf("%v %s %s/%s", o["apiVersion"], o.kind(), space, o.name())
}

// at follows a path of field names; nil if there is nothing.
func at(v any, path ...string) any {
	for _, name := range path {
		switch fields := v.(type) {
		case object:
			v = fields[name]
		case map[string]any:
			v = fields[name]
		default:
			return nil
		}
	}
	return v
}

// list follows a path to a list.
func list(v any, path ...string) []any {
	l, _ := at(v, path...).([]any)
	return l
}

// texts follows a path to a list of strings.
func texts(v any, path ...string) (all []string) {
	for _, item := range list(v, path...) {
		all = append(all, fmt.Sprint(item))
	}
	return all
}

// byKind returns the objects of some kinds.
func byKind(all []object, kinds ...string) (chosen []object) {
	for _, o := range all {
		for _, kind := range kinds {
			if o.kind() == kind {
				chosen = append(chosen, o)
			}
		}
	}
	return chosen
}

// podSpec returns the spec of the pods that an object is or makes; nil if it makes none.
func (o object) podSpec() any {
	switch o.kind() {
	case "Pod":
		return o["spec"]
	case "StatefulSet", "DaemonSet", "Deployment", "Job":
		return at(o, "spec", "template", "spec")
	}
	return nil
}

// flags returns the arguments of a container that are flags, by their names.
func flags(container any) map[string]string {
	all := map[string]string{}
	for _, arg := range texts(container, "args") {
		if name, ok := strings.CutPrefix(arg, "--"); ok {
			name, value, _ := strings.Cut(name, "=")
			all[name] = value
		}
	}
	return all
}
