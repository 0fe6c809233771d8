// Package client calls a CSI driver over its socket as a container orchestrator
// does, and checks of each answer what a caller relies on.
package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// Client is one caller. Its methods may be called concurrently.
type Client struct {
	conns      []*grpc.ClientConn
	topology   *csi.TopologyRequirement
	targets    string
	volumeSize int64
}

// Options say how to call.
type Options struct {
	// Endpoint is the driver's, with its scheme: unix:///PATH.
	Endpoint string
	// Connections is how many gRPC connections the workers share.
	Connections int
	// Targets is the directory that target paths are in.
	Targets string
	// VolumeSize is what volumes are created with, in bytes.
	VolumeSize int64
}

// Dial returns a client whose driver need not serve yet: see Ready.
func Dial(o Options) (*Client, error) {
	c := &Client{targets: o.Targets, volumeSize: o.VolumeSize}
	// A driver that is only just starting is looked for often: the time until it
	// is ready is measured.
	const retry = time.Millisecond
	for range o.Connections {
		conn, err := grpc.NewClient(o.Endpoint,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: retry, Multiplier: 1, MaxDelay: retry},
				MinConnectTimeout: time.Second,
			}))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.conns = append(c.conns, conn)
	}
	return c, nil
}

// Close closes the connections.
func (c *Client) Close() error {
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// Ready returns once the driver's Probe says that it is ready.
func (c *Client) Ready(ctx context.Context) error {
	identity := csi.NewIdentityClient(c.conns[0])
	for {
		resp, err := identity.Probe(ctx, &csi.ProbeRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return describe(ctx, "Probe", "", err)
		}
		if resp.GetReady() == nil || resp.GetReady().GetValue() {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the driver to be ready: %w", context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

// LearnTopology asks the node where it is; volumes are then created there.
func (c *Client) LearnTopology(ctx context.Context) error {
	for _, conn := range c.conns { // so that all of them are connected before anything is measured
		info, err := csi.NewNodeClient(conn).NodeGetInfo(ctx, &csi.NodeGetInfoRequest{})
		if err != nil {
			return describe(ctx, "NodeGetInfo", "", err)
		}
		if t := info.GetAccessibleTopology(); t != nil {
			c.topology = &csi.TopologyRequirement{Requisite: []*csi.Topology{t}, Preferred: []*csi.Topology{t}}
		}
	}
	return nil
}

// conn is the connection of worker w.
func (c *Client) conn(w int) *grpc.ClientConn { return c.conns[w%len(c.conns)] }

// target is the target path of a volume.
func (c *Client) target(name string) string { return filepath.Join(c.targets, name) }

// describe says which call failed, of which volume, and why ctx ended if that is
// what made it fail.
func describe(ctx context.Context, call, volume string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if volume == "" {
		return fmt.Errorf("%s: %w", call, err)
	}
	return fmt.Errorf("%s of %s: %w", call, volume, err)
}

// Version returns the driver's name and version.
func (c *Client) Version(ctx context.Context) (string, error) {
	info, err := csi.NewIdentityClient(c.conns[0]).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
	if err != nil {
		return "", describe(ctx, "GetPluginInfo", "", err)
	}
	return info.GetName() + " " + info.GetVendorVersion(), nil
}
