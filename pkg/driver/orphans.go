package driver

import (
	"context"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Orphans knows what lies in the node's pools and no record speaks of: the agent's part.
type Orphans interface {
	// Orphans lists them, each as POOL/PATH.
	Orphans() []string
	// RemoveOrphan removes one, at a path relative to its pool.
	RemoveOrphan(ctx context.Context, pool, path string) error
}

// orphansService is served beside CSI on the socket, where only root may ask. CSI has no call
// for what no volume is. Remove takes POOL/PATH, in bytes: a path need not be UTF-8. List leaves out
// what is not: whoever asks for it wants to know of volumes whose records are lost, and their names are.
var orphansService = grpc.ServiceDesc{
	ServiceName: "hostpath_csi.v1.Orphans",
	HandlerType: (*Orphans)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "List", Handler: listOrphans}, {MethodName: "Remove", Handler: removeOrphan}},
}

const (
	listOrphansMethod  = "/hostpath_csi.v1.Orphans/List"
	removeOrphanMethod = "/hostpath_csi.v1.Orphans/Remove"
)

func listOrphans(orphans any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	request := &emptypb.Empty{}
	if err := decode(request); err != nil {
		return nil, err
	}
	handle := func(context.Context, any) (any, error) {
		list := &structpb.ListValue{}
		for _, orphan := range orphans.(Orphans).Orphans() {
			if utf8.ValidString(orphan) {
				list.Values = append(list.Values, structpb.NewStringValue(orphan))
			}
		}
		return list, nil
	}
	return answer(ctx, request, orphans, listOrphansMethod, intercept, handle)
}

func removeOrphan(orphans any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	request := &wrapperspb.BytesValue{}
	if err := decode(request); err != nil {
		return nil, err
	}
	handle := func(ctx context.Context, req any) (any, error) {
		pool, path, err := cutPool(req.(*wrapperspb.BytesValue).GetValue(), "POOL/PATH")
		if err != nil {
			return nil, err
		}
		return &emptypb.Empty{}, orphans.(Orphans).RemoveOrphan(ctx, pool, path)
	}
	return answer(ctx, request, orphans, removeOrphanMethod, intercept, handle)
}

// cutPool takes apart what names something in a pool.
func cutPool(given []byte, takes string) (pool, rest string, err error) {
	pool, rest, ok := strings.Cut(string(given), "/")
	if !ok || pool == "" || rest == "" {
		return "", "", state.Errorf(state.Invalid, "got %s; it takes %s", state.Quote(string(given)), takes)
	}
	return pool, rest, nil
}

func answer(ctx context.Context, request, server any, method string, intercept grpc.UnaryServerInterceptor, handle grpc.UnaryHandler) (any, error) {
	if intercept == nil {
		return handle(ctx, request)
	}
	return intercept(ctx, request, &grpc.UnaryServerInfo{Server: server, FullMethod: method}, handle)
}

// ListOrphans asks the driver behind conn for the orphans that it knows, each as POOL/PATH.
func ListOrphans(ctx context.Context, conn grpc.ClientConnInterface) (orphans []string, err error) {
	list := &structpb.ListValue{}
	if err := conn.Invoke(ctx, listOrphansMethod, &emptypb.Empty{}, list); err != nil {
		return nil, err
	}
	for _, v := range list.GetValues() {
		orphans = append(orphans, v.GetStringValue())
	}
	return orphans, nil
}

// RemoveOrphan asks the driver behind conn to remove the orphan at POOL/PATH.
func RemoveOrphan(ctx context.Context, conn grpc.ClientConnInterface, poolPath string) error {
	return conn.Invoke(ctx, removeOrphanMethod, wrapperspb.Bytes([]byte(poolPath)), &emptypb.Empty{})
}
