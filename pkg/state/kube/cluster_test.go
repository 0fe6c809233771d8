//go:build kubestore

package kube

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func spec(id, node string) state.VolumeSpec {
	return state.VolumeSpec{Name: id, Node: node, Pool: "default", CapacityBytes: 1 << 30, AccessType: state.MountAccess, Mode: 0o777}
}

func mustCreate(t *testing.T, s *Store, id, node string) state.Volume {
	t.Helper()
	v, err := s.Volumes().Create(soon(t), id, spec(id, node))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantReason(t *testing.T, want state.Reason, err error) {
	t.Helper()
	if got := state.ReasonOf(err); got != want {
		t.Errorf("got reason %q (error: %v), want %q", got, err, want)
	}
}

func setPhase(p state.Phase) func(*state.VolumeStatus) error {
	return func(u *state.VolumeStatus) error { u.Phase = p; return nil }
}

// Every field there is in package state, also one that is added later, is kept.
func TestEveryFieldIsKept(t *testing.T) {
	s := openEmpty(t, Options{})
	kept(t, s.Volumes(), "a")
	kept(t, s.Snapshots(), "a")
	kept(t, s.Nodes(), "a")
}

func kept[S, U any](t *testing.T, records state.Owned[S, U], id string) {
	t.Helper()
	var wantSpec S
	var wantStatus U
	fill(t, reflect.ValueOf(&wantSpec).Elem())
	fill(t, reflect.ValueOf(&wantStatus).Elem())
	if _, err := records.Create(soon(t), id, wantSpec); err != nil {
		t.Fatal(err)
	}
	got, err := records.UpdateStatus(soon(t), id, func(u *U) error { *u = wantStatus; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Spec, wantSpec) || !reflect.DeepEqual(got.Status, wantStatus) {
		t.Errorf("got  %+v %+v\nwant %+v %+v", got.Spec, got.Status, wantSpec, wantStatus)
	}
}

// fill gives every field a value that is hard to keep.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("名\x00 <&>")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(math.MaxInt64)
	case reflect.Int32:
		v.SetInt(math.MaxInt32)
	case reflect.Uint32:
		v.SetUint(math.MaxUint32)
	default:
		t.Fatalf("no value for a field of type %v", v.Type())
	}
}

func TestTwoProcessesLoseNothing(t *testing.T) {
	controller := openEmpty(t, Options{})
	agent := mustOpen(t, Options{Node: "n1"})
	v := mustCreate(t, controller, "a", "n1")
	ctx := soon(t)
	var wg sync.WaitGroup
	const each = 30
	wg.Go(func() {
		for range each {
			_, err := controller.Volumes().UpdateSpec(ctx, "a", func(s *state.VolumeSpec) error { s.CapacityBytes++; return nil })
			wantReason(t, "", err)
		}
	})
	wg.Go(func() {
		for range each {
			_, err := agent.Volumes().UpdateStatus(ctx, "a", func(u *state.VolumeStatus) error { u.CapacityBytes++; return nil })
			wantReason(t, "", err)
		}
	})
	wg.Wait()
	for _, s := range []*Store{controller, agent} {
		_, err := state.Await(ctx, s.Volumes(), "a", func(now state.Volume) (bool, error) {
			return now.Spec.CapacityBytes == v.Spec.CapacityBytes+each && now.Status.CapacityBytes == each && now.Generation == 1+each, nil
		})
		wantReason(t, "", err)
	}
}

func TestANodeSeesItsOwnRecordsOnly(t *testing.T) {
	all := openEmpty(t, Options{})
	mine := mustOpen(t, Options{Node: "n1"})
	ctx := soon(t)
	events := mine.Volumes().Watch(ctx)
	mustCreate(t, all, "a", "n2")
	want := mustCreate(t, all, "b", "n1")
	if e := <-events; e.Object.ID != "b" {
		t.Errorf("told of %q first", e.Object.ID)
	}
	list, _, err := mine.Volumes().List(ctx, state.Page{})
	if err != nil || len(list) != 1 || list[0].UID != want.UID {
		t.Errorf("listed %+v, %v", list, err)
	}
	_, err = mine.Volumes().Get(ctx, "a")
	wantReason(t, state.NotFound, err)
	_, err = mine.Volumes().UpdateStatus(ctx, "a", setPhase(state.Ready))
	wantReason(t, state.NotFound, err)
	for _, id := range []string{"n1", "n2"} {
		if _, err := all.Nodes().Create(ctx, id, state.NodeSpec{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = mine.Nodes().Get(ctx, "n1")
	wantReason(t, "", err)
	_, err = mine.Nodes().Get(ctx, "n2")
	wantReason(t, state.NotFound, err)
}

func TestWhatAPersonDeletesIsDeleted(t *testing.T) {
	s := openEmpty(t, Options{})
	ctx := soon(t)
	v := mustCreate(t, s, "a", "n1")
	if _, err := s.Volumes().UpdateStatus(ctx, "a", setPhase(state.Ready)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Kubectl(ctx, "delete", "hpv", "a", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	deleted, err := state.Await(ctx, s.Volumes(), "a", func(now state.Volume) (bool, error) { return now.DeletedAt != nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	if deleted.Generation <= v.Generation || !deleted.DeletedForGood {
		t.Errorf("%+v after generation %d: an agent would not look", deleted.Meta, v.Generation)
	}
	_, err = s.Volumes().UpdateSpec(ctx, "a", func(s *state.VolumeSpec) error { s.CapacityBytes++; return nil })
	wantReason(t, state.Busy, err)

	// A deletion by the driver asks the agent anew, and its end is not that of the person's.
	wantReason(t, "", s.Volumes().Delete(ctx, "a"))
	if again, err := s.Volumes().Get(ctx, "a"); err != nil || again.Generation <= deleted.Generation {
		t.Errorf("got %+v, %v", again.Meta, err)
	}
	wantReason(t, "", s.Volumes().Keep(ctx, "a", v.UID))
	if kept, err := s.Volumes().Get(ctx, "a"); err != nil || kept.DeletedAt == nil || !kept.DeletedForGood {
		t.Errorf("a person's deletion was taken back: %+v, %v", kept.Meta, err)
	}

	wantReason(t, "", s.Volumes().Finalize(ctx, "a", v.UID))
	if out, err := server.Kubectl(ctx, "get", "hpv", "a"); err == nil || !strings.Contains(out, "not found") {
		t.Errorf("kubectl still finds it: %s", out)
	}

	mustCreate(t, s, "b", "n1")
	wantReason(t, "", s.Volumes().Delete(ctx, "b"))
	if driver, err := s.Volumes().Get(ctx, "b"); err != nil || driver.DeletedAt == nil || driver.DeletedForGood {
		t.Errorf("what the driver deletes: %+v, %v", driver.Meta, err)
	}
}

func TestAnAPIServerThatWasAway(t *testing.T) {
	s := openEmpty(t, Options{})
	mustCreate(t, s, "a", "n1")
	mustCreate(t, s, "gone", "n1")
	if err := server.KillAPI(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err := s.Volumes().UpdateStatus(soon(t), "a", setPhase(state.Ready))
	wantReason(t, state.Unavailable, err)
	_, err = s.Volumes().Create(soon(t), "b", spec("b", "n1"))
	wantReason(t, state.Unavailable, err)
	_, err = s.Volumes().Get(soon(t), "b")
	wantReason(t, state.Unavailable, err)
	wantReason(t, state.Unavailable, s.Healthy(soon(t)))
	if took := time.Since(begin); took > 2*callTimeout {
		t.Errorf("four calls took %v", took)
	}
	_, err = s.Volumes().Get(soon(t), "a")
	wantReason(t, "", err) // what is known can be read

	events := s.Volumes().Watch(t.Context())
	if err := server.StartAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Another process writes at once: the first is told, whether its watch is back or not.
	other := mustOpen(t, Options{})
	ctx := soon(t)
	mustCreate(t, other, "b", "n1")
	if _, err := other.Volumes().UpdateStatus(ctx, "a", setPhase(state.Ready)); err != nil {
		t.Fatal(err)
	}
	gone, err := other.Volumes().Get(ctx, "gone")
	if err != nil {
		t.Fatal(err)
	}
	wantReason(t, "", other.Volumes().Finalize(ctx, "gone", gone.UID))
	seen := make(map[string]bool)
	for len(seen) < 3 {
		select {
		case e := <-events:
			switch {
			case e.Object.ID == "b", e.Object.ID == "a" && e.Object.Status.Phase == state.Ready, e.Object.ID == "gone" && e.Gone:
				seen[e.Object.ID] = true
			}
		case <-ctx.Done():
			t.Fatalf("only %v were told", seen)
		}
	}
	wantReason(t, "", s.Healthy(ctx))
}

func TestOpenWaitsNoLongerThanItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := Open(ctx, &rest.Config{Host: "http://127.0.0.1:1"}, Options{})
	wantReason(t, state.Unavailable, err)
}

func TestWhatCannotChangeIsRefused(t *testing.T) {
	s := openEmpty(t, Options{})
	mustCreate(t, s, "a", "n1")
	for what, change := range map[string]func(*state.VolumeSpec){
		"name":         func(s *state.VolumeSpec) { s.Name = "x" },
		"node":         func(s *state.VolumeSpec) { s.Node = "x" },
		"pool":         func(s *state.VolumeSpec) { s.Pool = "x" },
		"access type":  func(s *state.VolumeSpec) { s.AccessType = state.BlockAccess },
		"source":       func(s *state.VolumeSpec) { s.Source = &state.Source{Kind: state.FromVolume, ID: "x"} },
		"path":         func(s *state.VolumeSpec) { s.Path = "x/y" },
		"made of":      func(s *state.VolumeSpec) { s.Adopt = "x" },
		"provisioning": func(s *state.VolumeSpec) { s.Provisioning = state.Thin },
		"ephemeral":    func(s *state.VolumeSpec) { s.Ephemeral = &state.Ephemeral{Target: "/x"} },
		"negative":     func(s *state.VolumeSpec) { s.CapacityBytes = -1 },
	} {
		_, err := s.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { change(s); return nil })
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("changing the %s: %v", what, err)
		}
	}
	copied := spec("b", "n1")
	copied.Source = &state.Source{Kind: state.FromSnapshot, ID: "s"}
	if _, err := s.Volumes().Create(soon(t), "b", copied); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*state.VolumeSpec){
		"is none":  func(s *state.VolumeSpec) { s.Source = nil },
		"is other": func(s *state.VolumeSpec) { s.Source = &state.Source{Kind: state.FromSnapshot, ID: "x"} },
		"is taken otherwise": func(s *state.VolumeSpec) {
			s.Source = &state.Source{Kind: state.FromSnapshot, ID: "s", SetMode: true}
		},
	} {
		_, err := s.Volumes().UpdateSpec(soon(t), "b", func(s *state.VolumeSpec) error { change(s); return nil })
		if err == nil || !strings.Contains(err.Error(), "source") {
			t.Errorf("the source %s: %v", what, err)
		}
	}
	if _, err := s.Snapshots().Create(soon(t), "s", state.SnapshotSpec{Name: "s", Node: "n1", Pool: "default", Volume: "a", VolumeUID: "u", AccessType: state.MountAccess}); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*state.SnapshotSpec){
		"name":        func(s *state.SnapshotSpec) { s.Name = "x" },
		"node":        func(s *state.SnapshotSpec) { s.Node = "x" },
		"pool":        func(s *state.SnapshotSpec) { s.Pool = "x" },
		"volume":      func(s *state.SnapshotSpec) { s.Volume = "x" },
		"life":        func(s *state.SnapshotSpec) { s.VolumeUID = "x" },
		"access type": func(s *state.SnapshotSpec) { s.AccessType = state.BlockAccess },
	} {
		_, err := s.Snapshots().UpdateSpec(soon(t), "s", func(s *state.SnapshotSpec) error { change(s); return nil })
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("changing a snapshot's %s: %v", what, err)
		}
	}
	for _, size := range []int64{2 << 30, 1 << 30} { // an expansion can be taken back
		_, err := s.Volumes().UpdateSpec(soon(t), "a", func(s *state.VolumeSpec) error { s.CapacityBytes = size; return nil })
		wantReason(t, "", err)
	}
}

// writes counts the requests that write.
type writes struct {
	http.RoundTripper
	count atomic.Int32
}

func (w *writes) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		w.count.Add(1)
	}
	return w.RoundTripper.RoundTrip(r)
}

func TestAVolumeCostsFewWrites(t *testing.T) {
	openEmpty(t, Options{})
	var w writes
	config := server.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { w.RoundTripper = next; return &w })
	s, err := Open(soon(t), config, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := soon(t)
	v := mustCreate(t, s, "a", "n1")
	for _, change := range []func(*state.VolumeStatus) error{
		func(u *state.VolumeStatus) error { u.QuotaID = 7; return nil }, setPhase(state.Ready), setPhase(state.Ready),
	} {
		if _, err := s.Volumes().UpdateStatus(ctx, "a", change); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.count.Swap(0); got != 3 {
		t.Errorf("creation took %d writes", got)
	}
	wantReason(t, "", s.Volumes().Delete(ctx, "a"))
	if _, err := s.Volumes().UpdateStatus(ctx, "a", setPhase(state.Deleting)); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "", s.Volumes().Finalize(ctx, "a", v.UID))
	if got := w.count.Load(); got != 4 {
		t.Errorf("deletion took %d writes", got)
	}
}

func TestNobodyIsToldBeforeThen(t *testing.T) {
	s := openEmpty(t, Options{})
	mustCreate(t, s, "a", "n1")
	woken, stop := s.Volumes().Wake("a")
	defer stop()
	ctx := soon(t)
	_, err := s.Volumes().UpdateStatus(ctx, "a", setPhase(state.Ready), func() {
		for told := false; !told && ctx.Err() == nil; { // the watch has the change, and waits
			s.volumes.cache.mu.Lock()
			told = len(s.volumes.cache.held["a"]) > 0
			s.volumes.cache.mu.Unlock()
		}
		if now, _ := s.volumes.cache.get("a"); now.Status.Phase == state.Ready {
			t.Error("the change can be read already")
		}
		select {
		case <-woken:
			t.Error("the change was told already")
		default:
		}
	})
	wantReason(t, "", err)
	<-woken
}
