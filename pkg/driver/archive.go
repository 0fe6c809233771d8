package driver

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Archive knows the deleted volumes that are kept in the node's pools: the agent's part.
type Archive interface {
	// PurgeArchived removes one, by its name in the archive of its pool.
	PurgeArchived(ctx context.Context, pool, name string) error
}

// archiveService is served beside CSI, as orphansService is. Purge takes POOL/NAME. That a volume
// comes back from the archive is a CreateVolume call: see AdoptHeader.
var archiveService = grpc.ServiceDesc{
	ServiceName: "hostpath_csi.v1.Archive",
	HandlerType: (*Archive)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Purge", Handler: purgeArchived}},
}

const purgeArchivedMethod = "/hostpath_csi.v1.Archive/Purge"

func purgeArchived(archive any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	request := &wrapperspb.BytesValue{}
	if err := decode(request); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, req any) (any, error) {
		pool, name, err := cutPool(req.(*wrapperspb.BytesValue).GetValue(), "POOL/NAME")
		if err != nil {
			return nil, err
		}
		return &emptypb.Empty{}, archive.(Archive).PurgeArchived(ctx, pool, name)
	}
	return answer(ctx, request, archive, purgeArchivedMethod, intercept, handle)
}

// PurgeArchived asks the driver behind conn to remove an entry of a pool's archive, at POOL/NAME.
func PurgeArchived(ctx context.Context, conn grpc.ClientConnInterface, poolName string) error {
	return conn.Invoke(ctx, purgeArchivedMethod, wrapperspb.Bytes([]byte(poolName)), &emptypb.Empty{})
}

// CopyArchivedHeader is the gRPC metadata of a CreateVolume call whose volume begins as a copy of
// something in the archive: its name there. As with AdoptHeader, no CO sends it.
const CopyArchivedHeader = "hostpath-csi-copy-archived-bin"

// copied is what the caller wants the volume to begin as a copy of, beside what CSI knows;
// nil: nothing.
func (c *controller) copied(ctx context.Context, w wanted) (*state.Source, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	given := md.Get(CopyArchivedHeader)
	switch {
	case len(given) == 0:
		return w.source, nil
	case !c.adopts:
		return nil, state.Errorf(state.Invalid, "a copy of the archive: this controller has no disk of its own: use kubectl hostpath archive restore --keep")
	case len(given) > 1 || given[0] == "":
		return nil, state.Errorf(state.Invalid, "a copy of the archive: it takes one name")
	case w.source != nil || w.adopt != "":
		return nil, state.Errorf(state.Invalid, "a copy of the archive: the volume is to be made of something else, too; it takes one of them")
	}
	return &state.Source{Kind: state.FromArchive, ID: given[0]}, nil
}
