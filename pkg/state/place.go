package state

import (
	"strings"
)

// A volume that is named after its claim lies at a path of its own, VolumeSpec.Path:
// some directories, and a place in the last of them. What is what is told by the names
// alone, so that no two volumes have one path and none lies in another, whatever their
// claims are called:
//
//   - a place ends in the volume's ID. Where that is of a kind of which no other can be
//     the end (isSelfDelimiting: what csi-provisioner and VolumeID make), it stands
//     as it is; before any other there is a "=", which nothing else can have in it;
//   - a directory is never called what a place could be.
//
// So the ID can be read from a path, and a pool be walked without reading a record.
const (
	// maxPlaceBytes is NAME_MAX.
	maxPlaceBytes = 255
	// maxDirectoryBytes and MaxDirectories keep a path short beside PATH_MAX, and beside
	// what ext4 has room for in a record.
	maxDirectoryBytes = 99
	// MaxDirectories is how many directories a place may lie in, one in the other.
	MaxDirectories = 4

	placeMark = "="
)

// DirectoryName makes, of any string, the name of a directory for places.
func DirectoryName(s string) string {
	s = safeName(s, maxDirectoryBytes)
	if _, ok := PlaceID(s); ok {
		s = s[:min(len(s), maxDirectoryBytes-1)] + "_"
	}
	return s
}

// PlaceName makes, of any string, the name of the volume's place that begins with it.
func PlaceName(s, id string) string {
	if !isSelfDelimiting(id) {
		s = strings.TrimRight(s, "-_.")
		id = placeMark + id
	}
	if s == "" {
		return id
	}
	return safeName(s, maxPlaceBytes-len(id)) + id
}

// PlaceID returns the ID of the volume that has a place of this name; ok is false if the
// name is none of a place.
func PlaceID(name string) (id string, ok bool) {
	if i := strings.LastIndex(name, placeMark); i >= 0 {
		id = name[i+1:]
		return id, ValidID(id) && !isSelfDelimiting(id)
	}
	for _, length := range []int{len(provisionedPrefix) + uuidBytes, len(hashedPrefix) + hashedBytes} {
		if len(name) >= length && isSelfDelimiting(name[len(name)-length:]) {
			return name[len(name)-length:], true
		}
	}
	return "", false
}

// PathID returns the ID of the volume whose path, VolumeSpec.Path, this can be.
func PathID(path string) (id string, ok bool) {
	names := strings.Split(path, "/")
	if len(names) > MaxDirectories+1 {
		return "", false
	}
	for i, name := range names {
		last := i == len(names)-1
		id, ok = PlaceID(name)
		if ok != last || !isSafeName(name, last) {
			return "", false
		}
	}
	return id, true
}

const (
	provisionedPrefix = "pvc-" // csi-provisioner's, if it is not told otherwise
	uuidBytes         = 36
	hashedBytes       = 40
)

// isSelfDelimiting tells whether id is of a fixed length and such that no text that ends
// in it ends in another of the kind.
func isSelfDelimiting(id string) bool {
	if rest, ok := strings.CutPrefix(id, hashedPrefix); ok {
		return len(rest) == hashedBytes && isHex(rest)
	}
	rest, ok := strings.CutPrefix(id, provisionedPrefix)
	if !ok || len(rest) != uuidBytes {
		return false
	}
	for i, part := range strings.Split(rest, "-") {
		lengths := [...]int{8, 4, 4, 4, 12}
		if i >= len(lengths) || len(part) != lengths[i] || !isHex(part) {
			return false
		}
	}
	return true
}

func isHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// safeName makes a string one of at most so many bytes that is safe as the name of a file, and
// in a shell.
func safeName(s string, longest int) string {
	b := []byte(s[:min(len(s), longest)])
	for i, c := range b {
		if !isNameByte(c) {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "_"
	}
	if b[0] == '-' || b[0] == '.' { // an option, or hidden
		b[0] = '_'
	}
	return string(b)
}

func isSafeName(name string, place bool) bool {
	longest := maxDirectoryBytes
	if place {
		longest = maxPlaceBytes
		name = strings.Replace(name, placeMark, "", 1) // which PlaceID has looked at
		if name == "" {
			return false
		}
	}
	return len(name) <= longest && name == safeName(name, longest)
}

// isNameByte tells whether a name made by this package may have c in it.
func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// IsNameText tells whether all of s may stand in a name of a directory or place.
func IsNameText(s string) bool {
	for _, c := range []byte(s) {
		if !isNameByte(c) {
			return false
		}
	}
	return true
}
