package client

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/fakecsi"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
)

// connect serves the driver and returns a client of it, ready.
func connect(t *testing.T, d *fakecsi.Driver) *Client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	socket := filepath.Join(t.TempDir(), "csi.sock")
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx, socket) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	c, err := Dial(Options{Endpoint: "unix://" + socket, Connections: 3, Targets: t.TempDir(), VolumeSize: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.LearnTopology(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

func volumes(n int) []*Volume {
	v := make([]*Volume, n)
	for i := range v {
		v[i] = &Volume{Name: fmt.Sprintf("v-%04d", i)}
	}
	return v
}

func TestLifeOfManyVolumes(t *testing.T) {
	d := &fakecsi.Driver{NotReady: 3}
	c := connect(t, d)
	vols := volumes(250)
	for _, step := range []struct {
		name, method string
		do           func(context.Context, int, *Volume) error
		calls, left  int
	}{
		{"create", csi.Controller_CreateVolume_FullMethodName, c.Create, 250, 250},
		{"create again", csi.Controller_CreateVolume_FullMethodName, c.Create, 500, 250},
		{"publish", csi.Node_NodePublishVolume_FullMethodName, c.Publish, 250, 250},
		{"stats", csi.Node_NodeGetVolumeStats_FullMethodName, c.Stats, 250, 250},
		{"expand", csi.Controller_ControllerExpandVolume_FullMethodName, c.Expand, 250, 250},
		{"expand on the node", csi.Node_NodeExpandVolume_FullMethodName, c.Expand, 500, 250},
		{"unpublish", csi.Node_NodeUnpublishVolume_FullMethodName, c.Unpublish, 250, 250},
		{"delete", csi.Controller_DeleteVolume_FullMethodName, c.Delete, 250, 0},
		{"cycle", csi.Controller_DeleteVolume_FullMethodName, c.Cycle, 500, 0},
	} {
		_, err := load.Run(t.Context(), load.Phase{Count: len(vols), InFlight: 8, Do: func(ctx context.Context, w, i int) error {
			return step.do(ctx, w, vols[i])
		}})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if n := d.Calls(step.method); n != step.calls {
			t.Errorf("after %s: %d calls of %s, want %d", step.name, n, step.method, step.calls)
		}
		if n := d.Volumes(); n != step.left {
			t.Errorf("after %s: %d volumes, want %d", step.name, n, step.left)
		}
	}
	if n := d.Calls(csi.Identity_Probe_FullMethodName); n != 4 {
		t.Errorf("Probe was called %d times, want 4: it said no three times", n)
	}
}

func TestListWalksAllPages(t *testing.T) {
	for _, n := range []int{0, 1, PageSize, 2*PageSize + 50} {
		c := connect(t, &fakecsi.Driver{})
		for _, v := range volumes(n) {
			if err := c.Create(t.Context(), 0, v); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.Count(t.Context()); err != nil || got != n {
			t.Errorf("Count = %d, %v, want %d", got, err, n)
		}
	}
}

func TestListBeginsAgainAtItsEnd(t *testing.T) {
	c := connect(t, &fakecsi.Driver{})
	for _, v := range volumes(PageSize + 1) {
		if err := c.Create(t.Context(), 0, v); err != nil {
			t.Fatal(err)
		}
	}
	walk := c.List(2)
	for i, want := range []int{PageSize, 1, PageSize, 1} {
		if got, _, err := walk.Page(t.Context(), 1); err != nil || got != want {
			t.Errorf("page %d: %d volumes, %v, want %d", i, got, err, want)
		}
	}
}

func TestAFailedCallNamesItselfAndItsVolume(t *testing.T) {
	c := connect(t, &fakecsi.Driver{Refuse: csi.Node_NodePublishVolume_FullMethodName})
	_, err := load.Run(t.Context(), load.Phase{Count: 1, InFlight: 1, Do: func(ctx context.Context, w, i int) error {
		return c.Cycle(ctx, w, &Volume{Name: "v-1"})
	}})
	if err == nil || !strings.Contains(err.Error(), "NodePublishVolume of v-1") || !strings.Contains(err.Error(), "refused by the test") {
		t.Errorf("error %v, want one that names NodePublishVolume of v-1 and the driver's reason", err)
	}
}
