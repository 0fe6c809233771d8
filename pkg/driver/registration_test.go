package driver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// TestTheKubeletRegistersTheDriver does what the kubelet does when it finds a socket.
func TestTheKubeletRegistersTheDriver(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, Name+"-reg.sock")
	r, err := Register(dir, "unix:///var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	kubelet := registerapi.NewRegistrationClient(conn)
	info, err := kubelet.GetInfo(t.Context(), &registerapi.InfoRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Type != registerapi.CSIPlugin || info.Name != Name || info.Endpoint != "/var/lib/kubelet/plugins/hostpath-csi.dev/csi.sock" ||
		!slices.Equal(info.SupportedVersions, []string{"1.0.0"}) {
		t.Errorf("the driver says of itself: %v", info)
	}
	for _, status := range []*registerapi.RegistrationStatus{{PluginRegistered: true}, {Error: "the driver does not answer"}} {
		if _, err := kubelet.NotifyRegistrationStatus(t.Context(), status); err != nil {
			t.Errorf("being told %v: %v", status, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close the socket is still there: %v", err)
	}
}

func TestARegistrationTakesAnAbsoluteDirectory(t *testing.T) {
	if _, err := Register("plugins_registry", "unix:///csi.sock"); state.ReasonOf(err) != state.Invalid {
		t.Errorf("%v", err)
	}
}
