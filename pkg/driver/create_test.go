package driver

import (
	"context"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// late are records that this process has not been told of yet: another one wrote them.
type late[S, U any] struct{ state.Desired[S, U] }

func (late[S, U]) Known(context.Context, string) (none state.Object[S, U], err error) {
	return none, state.Errorf(state.NotFound, "not heard of")
}

// What another controller made, before this one took over, is found, also where it could not be
// made now: told that it cannot be, whoever asks would leave it behind.
func TestWhatAnotherProcessMadeIsFoundBeforeItIsToldThatItCannotBeMade(t *testing.T) {
	c := newCluster(t)
	made, err := c.create("a")
	c.must(err)
	taken, err := c.take("s", "a")
	c.must(err)
	c.volumes, c.snapshots = late[state.VolumeSpec, state.VolumeStatus]{c.volumes}, late[state.SnapshotSpec, state.SnapshotStatus]{c.snapshots}
	again := func(when string) {
		t.Helper()
		if v, err := c.create("a"); err != nil || v.String() != made.String() {
			t.Errorf("%s, the volume is %v, %v", when, v, err)
		}
		if s, err := c.take("s", "a"); err != nil || s.String() != taken.String() {
			t.Errorf("%s, the snapshot is %v, %v", when, s, err)
		}
	}
	again("while there is room")

	for _, node := range []string{"here", "there"} {
		_, err := c.store.Nodes().UpdateStatus(t.Context(), node, func(st *state.NodeStatus) error {
			st.Pools = nil
			return nil
		})
		c.must(err)
	}
	if _, err := c.create("b"); state.ReasonOf(err) != state.NotReady {
		t.Errorf("where no pool is, another volume is refused with %v", err)
	}
	again("where no pool is")

	if _, err := c.DeleteVolume(t.Context(), &csi.DeleteVolumeRequest{VolumeId: "a"}); err != nil {
		t.Fatal(err)
	}
	if s, err := c.take("s", "a"); err != nil || s.String() != taken.String() {
		t.Errorf("when its volume is gone, the snapshot is %v, %v", s, err)
	}
}

// reads counts what is asked of whoever knows for certain.
type reads[S, U any] struct {
	state.Desired[S, U]
	number *int
}

func (r reads[S, U]) Get(ctx context.Context, id string) (state.Object[S, U], error) {
	if _, err := r.Known(ctx, id); state.ReasonOf(err) == state.NotFound {
		*r.number++
	}
	return r.Desired.Get(ctx, id)
}

func TestANewVolumeIsNotLookedForBeforeItIsMade(t *testing.T) {
	c := newCluster(t)
	var number int
	c.volumes = reads[state.VolumeSpec, state.VolumeStatus]{c.volumes, &number}
	c.snapshots = reads[state.SnapshotSpec, state.SnapshotStatus]{c.snapshots, &number}
	_, err := c.create("a")
	c.must(err)
	_, err = c.take("s", "a")
	c.must(err)
	if number != 0 {
		t.Errorf("%d times something was looked for that was not there", number)
	}
}
