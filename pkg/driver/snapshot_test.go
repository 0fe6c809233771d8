package driver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/pebble"
)

// cluster is a store with the nodes "here" and "there", a controller, and in the place of
// agents a test's word: what becomes of a volume or a snapshot that is declared.
type cluster struct {
	*testing.T
	*controller
	store *pebble.Store
	// snapshot and volume tell the status that a declared one gets; deletion why one is
	// not deleted. mu guards them.
	mu       sync.Mutex
	snapshot func(state.Snapshot) state.SnapshotStatus
	volume   func(state.Volume) state.VolumeStatus
	deletion func(id string) error
	away     error // of the node "here"
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	store, err := pebble.Open(t.TempDir(), pebble.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, store: store, deletion: func(string) error { return nil },
		snapshot: func(s state.Snapshot) state.SnapshotStatus {
			began := time.Unix(1234567890, 0).UTC()
			return state.SnapshotStatus{Phase: state.Ready, Path: "snapshots/" + s.ID, SizeBytes: gib, CreationTime: &began, ReadyToUse: true}
		},
		volume: func(v state.Volume) state.VolumeStatus {
			return state.VolumeStatus{Phase: state.Ready, CapacityBytes: v.Spec.CapacityBytes}
		}}
	for _, node := range []string{"here", "there"} {
		_, err := store.Nodes().Create(t.Context(), node, state.NodeSpec{})
		c.must(err)
		_, err = store.Nodes().UpdateStatus(t.Context(), node, func(st *state.NodeStatus) error {
			for _, pool := range []string{"default", "fast"} {
				st.Pools = append(st.Pools, state.PoolStatus{Name: pool, Filesystem: "xfs", Usage: state.Usage{TotalBytes: 100 * gib}, AvailableBytes: 10 * gib,
					Labels: map[string]string{"is": pool}})
			}
			return nil
		})
		c.must(err)
	}
	c.controller = newController(Options{Volumes: store.Volumes(), Snapshots: store.Snapshots(), Nodes: store.Nodes(), Away: func(node string) error {
		if node == "here" {
			return c.away
		}
		return nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	volumes, snapshots := store.Volumes().Watch(ctx), store.Snapshots().Watch(ctx)
	go func() {
		defer close(done)
		for volumes != nil || snapshots != nil {
			select {
			case e, ok := <-volumes:
				if !ok {
					volumes = nil
					continue
				}
				obey(ctx, c, store.Volumes(), e, e.Object.Status.ObservedGeneration, func(st *state.VolumeStatus, refused error) {
					if refused == nil {
						*st = locked(c, func() state.VolumeStatus { return c.volume(e.Object) })
					}
					st.ObservedGeneration = e.Object.Generation
					st.Reason, st.Message = reasonAnd(st.Reason, st.Message, refused)
				})
			case e, ok := <-snapshots:
				if !ok {
					snapshots = nil
					continue
				}
				obey(ctx, c, store.Snapshots(), e, e.Object.Status.ObservedGeneration, func(st *state.SnapshotStatus, refused error) {
					if refused == nil {
						*st = locked(c, func() state.SnapshotStatus { return c.snapshot(e.Object) })
					}
					st.ObservedGeneration = e.Object.Generation
					st.Reason, st.Message = reasonAnd(st.Reason, st.Message, refused)
				})
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = store.Close()
	})
	return c
}

func reasonAnd(reason state.Reason, message string, refused error) (state.Reason, string) {
	if refused != nil {
		return state.ReasonOf(refused), refused.Error()
	}
	return reason, message
}

// obey does with a record what an agent would.
func obey[S, U any](ctx context.Context, c *cluster, records state.Owned[S, U], e state.Event[S, U], observed int64, set func(*U, error)) {
	if e.Gone || observed >= e.Object.Generation {
		return
	}
	var refused error
	if e.Object.DeletedAt != nil {
		if refused = locked(c, func() error { return c.deletion(e.Object.ID) }); refused == nil {
			_ = records.Finalize(ctx, e.Object.ID, e.Object.UID)
			return
		}
	}
	_, _ = records.UpdateStatus(ctx, e.Object.ID, func(st *U) error { set(st, refused); return nil })
}

func locked[T any](c *cluster, f func() T) T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f()
}

// snapshotsBecome, volumesBecome and refuseDeletions say what is done from now on.
func (c *cluster) snapshotsBecome(f func(state.Snapshot) state.SnapshotStatus) {
	locked(c, func() bool { c.snapshot = f; return true })
}

func (c *cluster) volumesBecome(f func(state.Volume) state.VolumeStatus) {
	locked(c, func() bool { c.volume = f; return true })
}

func (c *cluster) refuseDeletions(why error) {
	locked(c, func() bool { c.deletion = func(string) error { return why }; return true })
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) want(reason state.Reason, err error) {
	c.Helper()
	if got := state.ReasonOf(err); got != reason {
		c.Errorf("got reason %q (%v), want %q", got, err, reason)
	}
}

// create makes a volume on the node "here".
func (c *cluster) create(id string, change ...func(*csi.CreateVolumeRequest)) (*csi.Volume, error) {
	c.Helper()
	req := createOn("here")
	req.Name = id
	for _, f := range change {
		f(req)
	}
	resp, err := c.CreateVolume(c.Context(), req)
	return resp.GetVolume(), err
}

func (c *cluster) take(id, volume string) (*csi.Snapshot, error) {
	resp, err := c.CreateSnapshot(c.Context(), &csi.CreateSnapshotRequest{Name: id, SourceVolumeId: volume})
	return resp.GetSnapshot(), err
}

func (c *cluster) list(req *csi.ListSnapshotsRequest) (ids []string, next string) {
	c.Helper()
	resp, err := c.ListSnapshots(c.Context(), req)
	c.must(err)
	for _, e := range resp.Entries {
		ids = append(ids, e.Snapshot.SnapshotId)
	}
	return ids, resp.NextToken
}

func TestASnapshotIsTakenOnceForOneVolume(t *testing.T) {
	c := newCluster(t)
	for _, id := range []string{"a", "b"} {
		_, err := c.create(id)
		c.must(err)
	}
	var first *csi.Snapshot
	for range 3 {
		s, err := c.take("s", "a")
		c.must(err)
		if first = s; s.SnapshotId != "s" || s.SourceVolumeId != "a" || s.SizeBytes != gib || !s.ReadyToUse || s.CreationTime.AsTime().Unix() != 1234567890 {
			t.Errorf("%v", s)
		}
	}
	r, err := c.store.Snapshots().Get(t.Context(), "s")
	c.must(err)
	v, err := c.store.Volumes().Get(t.Context(), "a")
	c.must(err)
	if want := (state.SnapshotSpec{Name: "s", Volume: "a", VolumeUID: v.UID, Node: "here", Pool: "default", AccessType: state.MountAccess}); r.Spec != want {
		t.Errorf("declared is %+v, want %+v", r.Spec, want)
	}
	_, err = c.take("s", "b")
	c.want(state.AlreadyExists, err)
	// Its volume it needs no more.
	_, err = c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: "a"})
	c.must(err)
	again, err := c.take("s", "a")
	c.must(err)
	if again.String() != first.String() {
		t.Errorf("%v was %v", again, first)
	}
	_, err = c.take("other", "a")
	c.want(state.NotFound, err)
	for range 2 {
		_, err := c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
		c.must(err)
	}
	if ids, _ := c.list(&csi.ListSnapshotsRequest{}); len(ids) > 0 {
		t.Errorf("%q are listed", ids)
	}
}

func TestASnapshotRequestThatMakesNoSense(t *testing.T) {
	c := newCluster(t)
	for name, req := range map[string]*csi.CreateSnapshotRequest{
		"no name":            {SourceVolumeId: "a"},
		"no volume":          {Name: "s"},
		"a name too long":    {Name: string(make([]byte, 200)), SourceVolumeId: "a"},
		"a control letter":   {Name: "s\x00", SourceVolumeId: "a"},
		"a strange property": {Name: "s", SourceVolumeId: "a", Parameters: map[string]string{"pool": "x"}},
	} {
		if _, err := c.CreateSnapshot(t.Context(), req); state.ReasonOf(err) != state.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{})
	c.want(state.Invalid, err)
	_, err = c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "../../etc"})
	c.want("", err)
	_, err = c.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{})
	c.want(state.Invalid, err)
	_, err = c.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{SnapshotId: "../../etc"})
	c.want(state.NotFound, err)
	for _, req := range []*csi.ListSnapshotsRequest{{StartingToken: "x"}, {StartingToken: "x", SnapshotId: "s"}} {
		_, err := c.ListSnapshots(t.Context(), req)
		c.want(state.BadToken, err)
	}
	_, err = c.ListSnapshots(t.Context(), &csi.ListSnapshotsRequest{MaxEntries: -1})
	c.want(state.Invalid, err)
}

func TestASnapshotThatIsStillBeingCopied(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	ready := c.snapshot
	c.snapshotsBecome(func(s state.Snapshot) state.SnapshotStatus {
		st := ready(s)
		st.Phase, st.ReadyToUse, st.Progress = state.Copying, false, &state.Progress{Bytes: 1}
		return st
	})
	for range 2 {
		s, err := c.take("s", "a")
		c.must(err)
		if s.ReadyToUse || s.SizeBytes != gib || s.CreationTime == nil {
			t.Errorf("%v", s)
		}
	}
	got, err := c.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{SnapshotId: "s"})
	if err != nil || got.Snapshot.ReadyToUse {
		t.Errorf("%v, %v", got, err)
	}
	_, err = c.create("b", from(state.FromSnapshot, "s"))
	c.want(state.Unavailable, err)
	_, err = c.store.Snapshots().UpdateStatus(t.Context(), "s", func(st *state.SnapshotStatus) error {
		st.Phase, st.ReadyToUse = state.Ready, true
		return nil
	})
	c.must(err)
	if s, err := c.take("s", "a"); err != nil || !s.ReadyToUse {
		t.Errorf("%v, %v", s, err)
	}
}

func TestASnapshotThatFailsLeavesNoRecord(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	ready := c.snapshot
	for reason, told := range map[state.Reason]state.Reason{state.NoSpace: state.NoSpace, state.NotReady: state.Unavailable, state.Lost: state.Lost} {
		c.snapshotsBecome(func(state.Snapshot) state.SnapshotStatus {
			return state.SnapshotStatus{Phase: state.Failed, Reason: reason, Message: "it failed"}
		})
		_, err := c.take("s", "a")
		c.want(told, err)
		_, err = c.store.Snapshots().Get(t.Context(), "s")
		c.want(state.NotFound, err)
	}
	c.snapshotsBecome(ready)
	_, err = c.take("s", "a")
	c.must(err)
}

func TestADeletionOfASnapshotThatIsRefusedIsTakenBack(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	_, err = c.take("s", "a")
	c.must(err)
	c.refuseDeletions(state.Errorf(state.InUse, "it is being restored from"))
	_, err = c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
	c.want(state.InUse, err)
	got, err := c.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{SnapshotId: "s"})
	if err != nil || !got.Snapshot.ReadyToUse {
		t.Errorf("%v, %v", got, err)
	}
}

func TestSnapshotsAreListed(t *testing.T) {
	c := newCluster(t)
	for _, id := range []string{"a", "b"} {
		_, err := c.create(id)
		c.must(err)
	}
	for id, volume := range map[string]string{"s1": "a", "s2": "b", "s3": "a", "s4": "b", "s5": "a"} {
		_, err := c.take(id, volume)
		c.must(err)
	}
	c.snapshotsBecome(func(state.Snapshot) state.SnapshotStatus { return state.SnapshotStatus{Phase: state.Pending} })
	_, err := c.store.Snapshots().Create(t.Context(), "s0", state.SnapshotSpec{Name: "s0", Volume: "a", Node: "here", Pool: "default"})
	c.must(err)
	for name, l := range map[string]struct {
		req  *csi.ListSnapshotsRequest
		want []string
	}{
		"all":                         {&csi.ListSnapshotsRequest{}, []string{"s1", "s2", "s3", "s4", "s5"}},
		"of a volume":                 {&csi.ListSnapshotsRequest{SourceVolumeId: "a"}, []string{"s1", "s3", "s5"}},
		"of an unknown volume":        {&csi.ListSnapshotsRequest{SourceVolumeId: "nosuch"}, nil},
		"of an ID":                    {&csi.ListSnapshotsRequest{SnapshotId: "s2"}, []string{"s2"}},
		"of an ID and its volume":     {&csi.ListSnapshotsRequest{SnapshotId: "s2", SourceVolumeId: "b"}, []string{"s2"}},
		"of an ID and another volume": {&csi.ListSnapshotsRequest{SnapshotId: "s2", SourceVolumeId: "a"}, nil},
		"of an unknown ID":            {&csi.ListSnapshotsRequest{SnapshotId: "nosuch"}, nil},
		"of a hostile ID":             {&csi.ListSnapshotsRequest{SnapshotId: "../s"}, nil},
		"of one that is not taken":    {&csi.ListSnapshotsRequest{SnapshotId: "s0"}, nil},
	} {
		if got, next := c.list(l.req); !slices.Equal(got, l.want) || next != "" {
			t.Errorf("%s: %q, then %q; want %q", name, got, next, l.want)
		}
		// In pages of any size they are the same.
		for limit := int32(1); limit < 4 && l.req.SnapshotId == ""; limit++ {
			var all []string
			req := &csi.ListSnapshotsRequest{SourceVolumeId: l.req.SourceVolumeId, MaxEntries: limit}
			for {
				page, next := c.list(req)
				if all = append(all, page...); len(page) > int(limit) {
					t.Errorf("%s: %q in a page of %d", name, page, limit)
				}
				if req.StartingToken = next; next == "" {
					break
				}
			}
			if !slices.Equal(all, l.want) {
				t.Errorf("%s: %q in pages of %d; want %q", name, all, limit, l.want)
			}
		}
	}
}

func TestSnapshotsOnANodeWhoseAgentIsAwayWait(t *testing.T) {
	c := newCluster(t)
	_, err := c.create("a")
	c.must(err)
	_, err = c.take("s", "a")
	c.must(err)
	c.away = errors.New("the agent of node here was not heard of")
	_, err = c.take("t", "a")
	c.want(state.Unavailable, err)
	_, err = c.store.Snapshots().Get(t.Context(), "t")
	c.want(state.NotFound, err)
	_, err = c.create("b", from(state.FromSnapshot, "s"))
	c.want(state.Unavailable, err)
	if _, err := c.take("s", "a"); err != nil { // it is there
		t.Error(err)
	}
	c.refuseDeletions(state.Errorf(state.Defect, "nobody is there to delete it"))
	_, err = c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
	c.want(state.Unavailable, err)
}

// TestWithoutSnapshots: a controller that was not given their records.
func TestWithoutSnapshots(t *testing.T) {
	c := newCluster(t)
	c.controller = newController(Options{Volumes: c.store.Volumes(), Nodes: c.store.Nodes()})
	_, create := c.take("s", "a")
	_, remove := c.DeleteSnapshot(t.Context(), &csi.DeleteSnapshotRequest{SnapshotId: "s"})
	_, list := c.ListSnapshots(t.Context(), &csi.ListSnapshotsRequest{})
	_, get := c.GetSnapshot(t.Context(), &csi.GetSnapshotRequest{SnapshotId: "s"})
	for name, err := range map[string]error{"CreateSnapshot": create, "DeleteSnapshot": remove, "ListSnapshots": list, "GetSnapshot": get} {
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, kind := range []state.SourceKind{state.FromSnapshot, state.FromVolume} {
		_, err := c.create("b", from(kind, "s"))
		c.want(state.Invalid, err)
	}
	_, err := c.create("a")
	c.must(err)
	if has := capabilities(t, c.controller); slices.Contains(has, csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT) || slices.Contains(has, csi.ControllerServiceCapability_RPC_CLONE_VOLUME) {
		t.Errorf("it tells that it can %v", has)
	}
	if has := capabilities(t, newCluster(t).controller); !slices.Contains(has, csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT) || !slices.Contains(has, csi.ControllerServiceCapability_RPC_CLONE_VOLUME) {
		t.Errorf("with snapshots it tells that it can %v", has)
	}
}

func capabilities(t *testing.T, c *controller) (all []csi.ControllerServiceCapability_RPC_Type) {
	t.Helper()
	resp, err := c.ControllerGetCapabilities(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range resp.Capabilities {
		all = append(all, one.GetRpc().Type)
	}
	return all
}
