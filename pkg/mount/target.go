package mount

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

const (
	maxPath = unix.PathMax - 1 // without the NUL
	maxName = 255              // NAME_MAX
)

// ValidTarget returns an error with Reason Invalid if target cannot be a target
// path, whatever the node looks like.
func ValidTarget(target string) error {
	if why := faultIn(target); why != "" {
		return state.Errorf(state.Invalid, "target_path: got %s, which %s; it takes an absolute path other than \"/\", "+
			"at most %d bytes long, without \".\", \"..\" and empty elements", state.Quote(target), why, maxPath)
	}
	return nil
}

func faultIn(target string) string {
	switch {
	case target == "":
		return "is empty"
	case target[0] != '/':
		return "is not absolute"
	case target == "/":
		return "is the root"
	case len(target) > maxPath:
		return "is too long"
	case strings.ContainsRune(target, 0):
		return "has a NUL byte in it"
	}
	for element := range strings.SplitSeq(target[1:], "/") {
		switch {
		case element == "":
			return "has an empty element"
		case element == "." || element == "..":
			return "has an element " + state.Quote(element)
		case len(element) > maxName:
			return "has an element of more than 255 bytes"
		}
	}
	return ""
}

// trustedRoot is a directory whose own path may have symbolic links in it.
type trustedRoot struct {
	given string // as configured
	real  string // without symbolic links
}

// canonical checks target and returns it without the symbolic links of a trusted
// root: the path under which the kernel lists a mount there.
func (t *Table) canonical(target string) (string, error) {
	if err := ValidTarget(target); err != nil {
		return "", err
	}
	at, longest := target, -1
	for _, r := range t.trusted {
		if rest, ok := beneath(r.given, target); ok && rest != "" && len(r.given) > longest {
			at, longest = filepath.Join(r.real, rest), len(r.given)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, p := range t.pools {
		if p.owns(at) {
			return "", state.Errorf(state.Invalid, "target_path: got %s, which belongs to the pool %q; it takes a path outside of any pool",
				state.Quote(target), name)
		}
	}
	return at, nil
}

// beneath tells whether path is dir or beneath it, and where. Both are clean.
func beneath(dir, path string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, strings.TrimSuffix(dir, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}
