package disk

import "github.com/hostpath-csi/hostpath-csi/pkg/state"

// Maker returns the path of the program that makes a filesystem of that kind, or what
// to install.
func Maker(filesystem string) (string, error) {
	k, ok := kinds[filesystem]
	if !ok {
		return "", state.Errorf(state.Invalid, "got the filesystem %s; it takes btrfs or xfs", state.Quote(filesystem))
	}
	return k.maker.path()
}
