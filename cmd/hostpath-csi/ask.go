package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// The sockets of the roles that have a disk.
const (
	standaloneEndpoint = "unix:///run/hostpath-csi/csi.sock"
	nodeEndpoint       = "unix:///var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock"
)

// addEndpointFlag adds that of commands which ask the driver: in the node plugin's container
// there is one socket only.
func addEndpointFlag(cmd *cobra.Command, endpoint *string) {
	there := standaloneEndpoint
	for _, e := range []string{standaloneEndpoint, nodeEndpoint} {
		if st, err := os.Lstat(strings.TrimPrefix(e, "unix://")); err == nil && st.Mode().Type() == os.ModeSocket {
			there = e
			break
		}
	}
	cmd.Flags().StringVar(endpoint, "endpoint", there, "socket of the driver")
}

// dial prepares to ask the driver.
func dial(endpoint string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("--endpoint is %s: %w", state.Quote(endpoint), err)
	}
	return conn, nil
}

// answered turns what the driver behind endpoint said into an error of the command. without is what
// it means that it does not serve what was asked for.
func answered(endpoint string, err error, without string) error {
	switch s, _ := status.FromError(err); {
	case err == nil:
		return nil
	case s.Code() == codes.Unavailable:
		return fmt.Errorf("the driver does not answer at %s: start it, or name its socket with --endpoint: %s", endpoint, s.Message())
	case s.Code() == codes.Unimplemented:
		return fmt.Errorf("what answers at %s %s", endpoint, without)
	default:
		return errors.New(s.Message())
	}
}

// createVolume has the running driver make a volume of what only the header names. instead is the
// command for a cluster.
func createVolume(ctx context.Context, endpoint, header, what string, request *csi.CreateVolumeRequest, instead string) (*csi.Volume, error) {
	conn, err := dial(endpoint)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	resp, err := csi.NewControllerClient(conn).CreateVolume(metadata.AppendToOutgoingContext(ctx, header, what), request)
	return resp.GetVolume(), answered(endpoint, err, "is a node's part of a cluster's driver: use "+instead)
}
