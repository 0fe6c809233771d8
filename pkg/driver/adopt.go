package driver

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// AdoptHeader is the gRPC metadata of a CreateVolume call that makes the volume of what is in the
// pool already, a directory or an entry of the archive: its path, relative to the pool (see
// state.VolumeSpec.Adopt).
//
// It is what `hostpath-csi adopt` and `archive restore` ask the driver on their machine for. It is no parameter, since
// those are written by whoever makes a StorageClass, and passed on for every claim; no CO sends
// metadata of its own. Only root may connect to the socket.
const AdoptHeader = "hostpath-csi-adopt-bin"

// adopted returns what the caller wants the volume to be made of; "": it starts as others do.
func (c *controller) adopted(ctx context.Context, w wanted) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	given := md.Get(AdoptHeader)
	switch {
	case len(given) == 0:
		return "", nil
	case !c.adopts:
		return "", state.Errorf(state.Invalid, "adopt: this controller has no disk of its own: use kubectl hostpath adopt")
	case len(given) > 1 || given[0] == "":
		return "", state.Errorf(state.Invalid, "adopt: it takes one path")
	case w.source != nil:
		return "", state.Errorf(state.Invalid, "adopt: volume_content_source is given, too; it takes one of them")
	}
	return given[0], nil
}
