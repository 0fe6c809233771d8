package driver

import (
	"context"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

type identity struct {
	csi.UnimplementedIdentityServer
	o Options
}

// GetPluginInfo tells who this is.
func (i *identity) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: Name, VendorVersion: i.o.Version}, nil
}

// GetPluginCapabilities tells which services there are, and that a volume can be
// used on its own node only.
func (i *identity) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	service := func(t csi.PluginCapability_Service_Type) *csi.PluginCapability {
		return &csi.PluginCapability{Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: t}}}
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{
		service(csi.PluginCapability_Service_CONTROLLER_SERVICE),
		service(csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS),
		{Type: &csi.PluginCapability_VolumeExpansion_{VolumeExpansion: &csi.PluginCapability_VolumeExpansion{Type: csi.PluginCapability_VolumeExpansion_ONLINE}}},
	}}, nil
}

// Probe answers from what is the case now: the store reads and writes, and every
// pool can be used. It is cheap; every second is not too often.
func (i *identity) Probe(ctx context.Context, _ *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	if err := i.o.well(ctx); err != nil {
		return nil, err
	}
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

// well returns nil if the store and every pool of this node can be used.
func (o *Options) well(ctx context.Context) error {
	if err := o.Healthy(ctx); err != nil {
		return state.Errorf(state.Incompatible, "the store is not healthy: %w", err)
	}
	if o.Disk == nil {
		return nil
	}
	for _, p := range o.Disk.Pools(ctx) {
		if !p.Usable() {
			return state.Errorf(state.Incompatible, "pool %s cannot be used: %s", p.Name, p.Health[0].Message)
		}
	}
	return nil
}
