package driver

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Orphans removes what lies in the node's pools and no record speaks of: the agent's part.
type Orphans interface {
	// RemoveOrphan removes one, at a path relative to its pool.
	RemoveOrphan(ctx context.Context, pool, path string) error
}

// orphansService is served beside CSI on the socket, where only root may ask. CSI has no call
// for what no volume is. Its one call takes POOL/PATH, in bytes: a path need not be UTF-8.
var orphansService = grpc.ServiceDesc{
	ServiceName: "hostpath_csi.v1.Orphans",
	HandlerType: (*Orphans)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Remove", Handler: removeOrphan}},
}

const removeOrphanMethod = "/hostpath_csi.v1.Orphans/Remove"

func removeOrphan(orphans any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	request := &wrapperspb.BytesValue{}
	if err := decode(request); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, req any) (any, error) {
		pool, path, ok := strings.Cut(string(req.(*wrapperspb.BytesValue).GetValue()), "/")
		if !ok || pool == "" || path == "" {
			return nil, state.Errorf(state.Invalid, "got %s; it takes POOL/PATH", state.Quote(string(request.GetValue())))
		}
		return &emptypb.Empty{}, orphans.(Orphans).RemoveOrphan(ctx, pool, path)
	}
	if intercept == nil {
		return handle(ctx, request)
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{Server: orphans, FullMethod: removeOrphanMethod}, handle)
}

// RemoveOrphan asks the driver behind conn to remove the orphan at POOL/PATH.
func RemoveOrphan(ctx context.Context, conn grpc.ClientConnInterface, poolPath string) error {
	return conn.Invoke(ctx, removeOrphanMethod, wrapperspb.Bytes([]byte(poolPath)), &emptypb.Empty{})
}
