package driver

import (
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// from has a volume begin as a copy.
func from(kind state.SourceKind, id string) func(*csi.CreateVolumeRequest) {
	return func(req *csi.CreateVolumeRequest) {
		req.VolumeContentSource = sourceToCSI(&state.Source{Kind: kind, ID: id})
	}
}

func sized(least, most int64) func(*csi.CreateVolumeRequest) {
	return func(req *csi.CreateVolumeRequest) {
		req.CapacityRange = &csi.CapacityRange{RequiredBytes: least, LimitBytes: most}
	}
}

func TestVolumesFromSources(t *testing.T) {
	c := newCluster(t)
	inFast := func(req *csi.CreateVolumeRequest) { req.Parameters = map[string]string{"pool": "fast"} }
	_, err := c.create("a", inFast)
	c.must(err)
	_, err = c.take("s", "a")
	c.must(err)
	_, err = c.take("lost", "a")
	c.must(err)
	_, err = c.store.Snapshots().UpdateStatus(t.Context(), "lost", func(st *state.SnapshotStatus) error {
		st.ReadyToUse, st.Reason, st.Message = false, state.Lost, "it is not there"
		return nil
	})
	c.must(err)
	parameter := func(name, value string) func(*csi.CreateVolumeRequest) {
		return func(req *csi.CreateVolumeRequest) { req.Parameters = map[string]string{name: value} }
	}
	anywhere := func(req *csi.CreateVolumeRequest) { req.AccessibilityRequirements = nil }
	there := func(req *csi.CreateVolumeRequest) {
		req.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: on("there")}
	}
	preferThere := func(req *csi.CreateVolumeRequest) {
		req.AccessibilityRequirements = &csi.TopologyRequirement{Requisite: on("there", "here"), Preferred: on("there", "here")}
	}
	asBlock := func(req *csi.CreateVolumeRequest) {
		for _, capability := range req.VolumeCapabilities {
			capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		}
	}
	sources := map[string]func(*csi.CreateVolumeRequest){"a snapshot": from(state.FromSnapshot, "s"), "a volume": from(state.FromVolume, "a")}
	for name, w := range map[string]struct {
		change []func(*csi.CreateVolumeRequest)
		bytes  int64
		reason state.Reason
	}{
		"of its size":                       {nil, gib, ""},
		"larger":                            {[]func(*csi.CreateVolumeRequest){sized(3*gib, 0)}, 3 * gib, ""},
		"of no size":                        {[]func(*csi.CreateVolumeRequest){sized(0, 0)}, gib, ""},
		"of a size with a limit":            {[]func(*csi.CreateVolumeRequest){sized(0, 2*gib)}, gib, ""},
		"smaller":                           {[]func(*csi.CreateVolumeRequest){sized(gib-1, 0)}, 0, state.OutOfRange},
		"limited to less":                   {[]func(*csi.CreateVolumeRequest){sized(0, gib-1)}, 0, state.OutOfRange},
		"larger than the pool":              {[]func(*csi.CreateVolumeRequest){sized(101*gib, 0)}, 0, state.OutOfRange},
		"anywhere":                          {[]func(*csi.CreateVolumeRequest){anywhere}, gib, ""},
		"rather elsewhere":                  {[]func(*csi.CreateVolumeRequest){preferThere}, gib, ""},
		"elsewhere":                         {[]func(*csi.CreateVolumeRequest){there}, 0, state.NoSpace},
		"in its pool":                       {[]func(*csi.CreateVolumeRequest){inFast}, gib, ""},
		"in another pool":                   {[]func(*csi.CreateVolumeRequest){parameter("pool", "default")}, 0, state.Invalid},
		"in a pool of its labels":           {[]func(*csi.CreateVolumeRequest){parameter("poolSelector", "is=fast")}, gib, ""},
		"in a pool of other labels":         {[]func(*csi.CreateVolumeRequest){parameter("poolSelector", "is=default")}, 0, state.Invalid},
		"as a block volume":                 {[]func(*csi.CreateVolumeRequest){asBlock}, 0, state.Invalid},
		"with another filesystem":           {[]func(*csi.CreateVolumeRequest){func(req *csi.CreateVolumeRequest) { req.VolumeCapabilities[0].GetMount().FsType = "ext4" }}, 0, state.Invalid},
		"with a parameter that is not ours": {[]func(*csi.CreateVolumeRequest){parameter("nosuch", "")}, 0, state.Invalid},
	} {
		for of, source := range sources {
			t.Run(of+" "+name, func(t *testing.T) {
				v, err := c.create("copy", append([]func(*csi.CreateVolumeRequest){source}, w.change...)...)
				if state.ReasonOf(err) != w.reason {
					t.Fatalf("got %v, want reason %q", err, w.reason)
				}
				if err != nil {
					return
				}
				r, err := c.store.Volumes().Get(t.Context(), "copy")
				if err != nil || r.Spec.Node != "here" || r.Spec.Pool != "fast" || v.CapacityBytes != w.bytes || r.Spec.Source.SetMode || r.Spec.Source.SetOwner {
					t.Errorf("%v is declared as %+v, %v", v, r.Spec, err)
				}
				if _, err := c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: "copy"}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	for name, w := range map[string]struct {
		source *csi.VolumeContentSource
		reason state.Reason
	}{
		"an unknown snapshot":     {sourceToCSI(&state.Source{Kind: state.FromSnapshot, ID: "nosuch"}), state.NotFound},
		"an unknown volume":       {sourceToCSI(&state.Source{Kind: state.FromVolume, ID: "nosuch"}), state.NotFound},
		"a hostile ID":            {sourceToCSI(&state.Source{Kind: state.FromSnapshot, ID: "../../etc"}), state.NotFound},
		"a volume as a snapshot":  {sourceToCSI(&state.Source{Kind: state.FromSnapshot, ID: "a"}), state.NotFound},
		"a lost snapshot":         {sourceToCSI(&state.Source{Kind: state.FromSnapshot, ID: "lost"}), state.Lost},
		"no ID":                   {sourceToCSI(&state.Source{Kind: state.FromSnapshot}), state.Invalid},
		"no ID of a volume":       {sourceToCSI(&state.Source{Kind: state.FromVolume}), state.Invalid},
		"a source of no kind":     {&csi.VolumeContentSource{}, state.Invalid},
		"a snapshot without more": {&csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{}}, state.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.create("copy", func(req *csi.CreateVolumeRequest) { req.VolumeContentSource = w.source })
			if state.ReasonOf(err) != w.reason {
				t.Errorf("%v, want reason %q", err, w.reason)
			}
		})
	}
}

func TestACopyThatIsAskedForAgain(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	_, err = c.take("s", "a")
	c.must(err)
	for range 2 {
		v, err := c.create("b", from(state.FromSnapshot, "s"))
		c.must(err)
		if v.ContentSource.GetSnapshot().GetSnapshotId() != "s" {
			t.Errorf("it is told as %v", v)
		}
	}
	for name, change := range map[string]func(*csi.CreateVolumeRequest){
		"of another snapshot": from(state.FromSnapshot, "t"),
		"of a volume":         from(state.FromVolume, "s"),
		"of nothing":          func(*csi.CreateVolumeRequest) {},
	} {
		if _, err := c.create("b", change); state.ReasonOf(err) != state.AlreadyExists {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = c.create("a", from(state.FromSnapshot, "s"))
	c.want(state.AlreadyExists, err)
	// What it was made of may be gone.
	_, err = c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
	c.must(err)
	_, err = c.create("b", from(state.FromSnapshot, "s"))
	c.must(err)
	listed, err := c.ListVolumes(t.Context(), &csi.ListVolumesRequest{})
	c.must(err)
	for _, e := range listed.Entries {
		if got, want := e.Volume.ContentSource.GetSnapshot().GetSnapshotId(), map[string]string{"b": "s"}[e.Volume.VolumeId]; got != want {
			t.Errorf("listed is %v", e.Volume)
		}
	}
	got, err := c.ControllerGetVolume(t.Context(), &csi.ControllerGetVolumeRequest{VolumeId: "b"})
	if err != nil || got.Volume.ContentSource.GetSnapshot().GetSnapshotId() != "s" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestACopyKeepsItsOwnerUnlessTheClassGivesOne(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	for id, w := range map[string]struct {
		parameters  map[string]string
		mode, owner bool
	}{
		"as-it-was": {nil, false, false},
		"mode":      {map[string]string{"mode": "0700"}, true, false},
		"user":      {map[string]string{"uid": "7"}, false, true},
		"group":     {map[string]string{"gid": "7"}, false, true},
	} {
		_, err := c.create(id, from(state.FromVolume, "a"), func(req *csi.CreateVolumeRequest) { req.Parameters = w.parameters })
		c.must(err)
		v, err := c.store.Volumes().Get(t.Context(), id)
		c.must(err)
		if v.Spec.Source.SetMode != w.mode || v.Spec.Source.SetOwner != w.owner {
			t.Errorf("%s: declared is %+v", id, v.Spec.Source)
		}
	}
}

// TestACopyThatFails: no other node will do, so that a pool that is not ready means later.
func TestACopyThatFails(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	for reason, told := range map[state.Reason]state.Reason{state.NotReady: state.Unavailable, state.NoSpace: state.NoSpace, state.NotFound: state.NotFound} {
		c.volumesBecome(func(state.Volume) state.VolumeStatus {
			return state.VolumeStatus{Phase: state.Failed, Reason: reason, Message: "it failed"}
		})
		_, err := c.create("b", from(state.FromVolume, "a"))
		c.want(told, err)
	}
}

func TestSizesOfCopies(t *testing.T) {
	for _, w := range []struct {
		asked  size
		bytes  int64 // of the source
		kind   state.AccessType
		want   int64
		reason state.Reason
	}{
		{size{}, 5000, state.MountAccess, 5000, ""},
		{size{}, 8192, state.BlockAccess, 8192, ""},
		{size{least: 8193}, 8192, state.BlockAccess, 12288, ""},
		{size{least: 8193, most: 9000}, 8192, state.BlockAccess, 0, state.OutOfRange},
		{size{most: 9000}, 8192, state.BlockAccess, 8192, ""},
		{size{least: 1}, 2, state.MountAccess, 0, state.OutOfRange},
		{size{most: 1}, 2, state.MountAccess, 0, state.OutOfRange},
	} {
		got, err := w.asked.ofCopy(w.bytes, w.kind)
		if got != w.want || state.ReasonOf(err) != w.reason {
			t.Errorf("%+v of %d is %d, %v; want %d, %q", w.asked, w.bytes, got, err, w.want, w.reason)
		}
	}
}
