package process

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// callTimeout bounds one call; all take milliseconds.
const callTimeout = 30 * time.Second

func callContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), callTimeout)
}

// Mode is an access mode of the CSI spec.
type Mode = csi.VolumeCapability_AccessMode_Mode

// SingleWriter is the mode that most calls of tests ask for.
const SingleWriter = csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER

// Capability returns that of a mounted volume.
func Capability(mode Mode, flags ...string) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{MountFlags: flags}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
	}
}

// BlockCapability returns that of a block volume.
func BlockCapability(mode Mode) *csi.VolumeCapability {
	return &csi.VolumeCapability{
		AccessType: &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: mode},
	}
}

// CreateRequest asks for a volume of at least that many bytes.
func CreateRequest(name string, bytes int64) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{Name: name, CapacityRange: &csi.CapacityRange{RequiredBytes: bytes},
		VolumeCapabilities: []*csi.VolumeCapability{Capability(SingleWriter)}}
}

// PublishRequest asks for the volume at target.
func PublishRequest(id, target string, mode Mode, flags ...string) *csi.NodePublishVolumeRequest {
	return &csi.NodePublishVolumeRequest{VolumeId: id, TargetPath: target, VolumeCapability: Capability(mode, flags...)}
}

// Create makes a volume and returns its ID.
func (d *Driver) Create(name string, bytes int64) (id string, err error) {
	return d.CreateWith(name, bytes, nil)
}

// CreateWith makes a volume with parameters and returns its ID.
func (d *Driver) CreateWith(name string, bytes int64, parameters map[string]string) (id string, err error) {
	ctx, cancel := callContext()
	defer cancel()
	req := CreateRequest(name, bytes)
	req.Parameters = parameters
	resp, err := d.CreateVolume(ctx, req)
	return resp.GetVolume().GetVolumeId(), err
}

// CreateBlock makes a block volume and returns its ID.
func (d *Driver) CreateBlock(name string, bytes int64) (id string, err error) {
	return d.CreateBlockWith(name, bytes, nil)
}

// CreateBlockWith makes a block volume with parameters and returns its ID.
func (d *Driver) CreateBlockWith(name string, bytes int64, parameters map[string]string) (id string, err error) {
	ctx, cancel := callContext()
	defer cancel()
	req := CreateRequest(name, bytes)
	req.Parameters = parameters
	req.VolumeCapabilities = []*csi.VolumeCapability{BlockCapability(SingleWriter)}
	resp, err := d.CreateVolume(ctx, req)
	return resp.GetVolume().GetVolumeId(), err
}

// PublishBlock makes the block volume a device at target, for one writing node.
func (d *Driver) PublishBlock(id, target string) error {
	ctx, cancel := callContext()
	defer cancel()
	req := PublishRequest(id, target, SingleWriter)
	req.VolumeCapability = BlockCapability(SingleWriter)
	_, err := d.NodePublishVolume(ctx, req)
	return err
}

// Publish mounts the volume at target, for one writing node.
func (d *Driver) Publish(id, target string) error {
	ctx, cancel := callContext()
	defer cancel()
	_, err := d.NodePublishVolume(ctx, PublishRequest(id, target, SingleWriter))
	return err
}

// EphemeralID returns a volume_id as the kubelet gives it to the volume of a pod.
func EphemeralID(pod, volume string) string {
	return fmt.Sprintf("csi-%x", sha256.Sum256([]byte(pod+volume)))
}

// PublishEphemeral has a volume made for a pod, and mounted at target, as the kubelet
// does for one among the pod's volumes that has attributes.
func (d *Driver) PublishEphemeral(id, target string, attributes map[string]string) error {
	ctx, cancel := callContext()
	defer cancel()
	req := PublishRequest(id, target, SingleWriter)
	req.VolumeContext = map[string]string{"csi.storage.k8s.io/ephemeral": "true", "csi.storage.k8s.io/pod.name": "scratcher",
		"csi.storage.k8s.io/pod.namespace": "shop", "csi.storage.k8s.io/pod.uid": "6f1e2d1c", "csi.storage.k8s.io/serviceAccount.name": "default"}
	maps.Copy(req.VolumeContext, attributes)
	_, err := d.NodePublishVolume(ctx, req)
	return err
}

// Unpublish unmounts the volume from target.
func (d *Driver) Unpublish(id, target string) error {
	ctx, cancel := callContext()
	defer cancel()
	_, err := d.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: id, TargetPath: target})
	return err
}

// UnpublishOnceFree is Unpublish for tests beside others: a program that another is
// starting holds, between fork and exec, what this one has just closed, and the mount is
// in use for that moment. A CO asks again, too.
func (d *Driver) UnpublishOnceFree(id, target string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		err := d.Unpublish(id, target)
		if status.Code(err) != codes.FailedPrecondition || time.Now().After(deadline) {
			return err
		}
	}
}

// Expand makes the volume at least that large.
func (d *Driver) Expand(id string, bytes int64) error {
	ctx, cancel := callContext()
	defer cancel()
	_, err := d.ControllerExpandVolume(ctx, &csi.ControllerExpandVolumeRequest{VolumeId: id, CapacityRange: &csi.CapacityRange{RequiredBytes: bytes}})
	return err
}

// Delete deletes the volume.
func (d *Driver) Delete(id string) error {
	ctx, cancel := callContext()
	defer cancel()
	_, err := d.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: id})
	return err
}

// List returns the volumes' capacities by ID.
func (d *Driver) List() (map[string]int64, error) {
	ctx, cancel := callContext()
	defer cancel()
	capacities := map[string]int64{}
	for token := ""; ; {
		resp, err := d.ListVolumes(ctx, &csi.ListVolumesRequest{StartingToken: token})
		if err != nil {
			return nil, err
		}
		for _, e := range resp.GetEntries() {
			capacities[e.GetVolume().GetVolumeId()] = e.GetVolume().GetCapacityBytes()
		}
		if token = resp.GetNextToken(); token == "" {
			return capacities, nil
		}
	}
}

// Free returns what GetCapacity tells.
func (d *Driver) Free() (int64, error) {
	ctx, cancel := callContext()
	defer cancel()
	resp, err := d.GetCapacity(ctx, &csi.GetCapacityRequest{})
	return resp.GetAvailableCapacity(), err
}

// Health returns the reasons for which the controller says that a volume is not well.
func (d *Driver) Health(id string) ([]*csi.VolumeHealth_VolumeHealthEntry, error) {
	ctx, cancel := callContext()
	defer cancel()
	resp, err := d.ControllerGetVolumeHealth(ctx, &csi.ControllerGetVolumeHealthRequest{VolumeId: id})
	return resp.GetVolumeHealth().GetHealthStatuses(), err
}

// Metrics returns every metric that has no labels but the pool's name, which is
// left out: tests have one pool.
func (d *Driver) Metrics() (map[string]float64, error) {
	body, err := d.Scrape()
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		name, value, _ := strings.Cut(strings.Replace(lines.Text(), `{pool="default"}`, "", 1), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = n
		}
	}
	if len(found) == 0 {
		return nil, errors.New("/metrics tells of no metric")
	}
	return found, nil
}

// Scrape returns what /metrics tells, as Prometheus gets it.
func (d *Driver) Scrape() ([]byte, error) {
	client := http.Client{Timeout: callTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + d.metrics + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("/metrics: %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// MetricsAddress is where the metrics are served, as HOST:PORT.
func (d *Driver) MetricsAddress() string { return d.metrics }

// Settled returns an error while the driver still works on what an earlier process
// or call has left to do, and otherwise the metrics.
func (d *Driver) Settled() (map[string]float64, error) {
	m, err := d.Metrics()
	if err == nil && m["hostpath_csi_reconciling_volumes"]+m["hostpath_csi_copies"]+m["hostpath_csi_trash_entries"] > 0 {
		err = fmt.Errorf("%v volumes are being reconciled, %v copies are being made, and %v entries are in the trash",
			m["hostpath_csi_reconciling_volumes"], m["hostpath_csi_copies"], m["hostpath_csi_trash_entries"])
	}
	return m, err
}

// WasKilled returns nil if the process was ended by SIGKILL, by itself or others.
func (d *Driver) WasKilled() error {
	var exit *exec.ExitError
	if errors.As(d.err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL {
			return nil
		}
	}
	return fmt.Errorf("the driver ended otherwise than by SIGKILL: %v", d.err)
}

// Eventually returns once try returns nil; the test fails with its last error if
// that takes more than 20 seconds.
func Eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not so after 20 s: %v", what, err)
		case <-look.C:
		}
	}
}

// Names lists a directory: nothing if it is not there.
func Names(t testing.TB, dir string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	return names
}

// SameNames returns an error if a directory holds anything but the wanted names.
func SameNames(t testing.TB, dir string, wanted ...string) error {
	t.Helper()
	want := map[string]bool{}
	for _, w := range wanted {
		want[w] = true
	}
	if has := Names(t, dir); !maps.Equal(has, want) {
		return fmt.Errorf("%s holds %v, wanted is %v", dir, has, want)
	}
	return nil
}

// lastPort is where freeAddress looked last: below the ports that the kernel gives
// to whoever asks for any, and apart from other test programs that run meanwhile.
var lastPort atomic.Int64

func init() { lastPort.Store(int64(os.Getpid())) }

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	const first, last = 10000, 32000
	for range last - first {
		address := fmt.Sprintf("127.0.0.1:%d", first+lastPort.Add(1)%(last-first))
		l, err := net.Listen("tcp", address)
		if err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("every port is taken")
	return ""
}
