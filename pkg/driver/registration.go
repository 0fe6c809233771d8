package driver

import (
	"context"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"
	"k8s.io/klog/v2"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// registrationSocket is the socket's name in the kubelet's directory of plugins.
const registrationSocket = Name + "-reg.sock"

// Registration makes the driver known to the kubelet of its node: the kubelet watches
// a directory for sockets, asks whoever serves one who it is, and calls it from then
// on. A kubelet that restarts finds the socket again; one that sees the socket
// vanish forgets the driver. A registration that the kubelet refuses (it could not
// call the driver yet, say) it tries again by itself.
type Registration struct {
	grpc *grpc.Server
	done chan struct{}
}

// Register serves the kubelet's plugin registration in dir, on behalf of the CSI
// services at endpoint, which have to be served by now.
func Register(dir, endpoint string) (*Registration, error) {
	if !filepath.IsAbs(dir) {
		return nil, state.Errorf(state.Invalid, "the kubelet's directory of plugins is %s; it takes an absolute path", state.Quote(dir))
	}
	l, err := Listen("unix://" + filepath.Join(dir, registrationSocket))
	if err != nil {
		return nil, err
	}
	r := &Registration{grpc: grpc.NewServer(), done: make(chan struct{})}
	registerapi.RegisterRegistrationServer(r.grpc, &registrationServer{socket: strings.TrimPrefix(endpoint, "unix://")})
	go func() {
		defer close(r.done)
		if err := r.grpc.Serve(l); err != nil {
			klog.ErrorS(err, "Serving the registration with the kubelet ended", "socket", l.Addr())
		}
	}()
	return r, nil
}

// Close removes the socket, so that the kubelet knows that the driver is gone.
func (r *Registration) Close() error {
	r.grpc.Stop()
	<-r.done
	return nil
}

type registrationServer struct {
	registerapi.UnimplementedRegistrationServer
	socket string
}

// csiVersions are the major versions of CSI that are spoken, as the kubelet compares them.
var csiVersions = []string{"1.0.0"}

// GetInfo tells who the driver is and where it serves.
func (r *registrationServer) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{Type: registerapi.CSIPlugin, Name: Name, Endpoint: r.socket, SupportedVersions: csiVersions}, nil
}

// NotifyRegistrationStatus hears how the registration went.
func (r *registrationServer) NotifyRegistrationStatus(_ context.Context, s *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	if s.GetPluginRegistered() {
		klog.InfoS("Registered with the kubelet", "driver", Name, "socket", r.socket)
	} else {
		klog.ErrorS(nil, "The kubelet refused the registration; it tries again", "driver", Name, "socket", r.socket, "why", s.GetError())
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}
