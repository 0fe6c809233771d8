package projectquota

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) {
	filesystem.DropResources()
	filesystem.Main(m)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// openNew makes the directory a pool and opens it until the end of the test.
func openNew(t *testing.T, path string, o Options) *Backend {
	t.Helper()
	must(t, pool.Prepare(path, "store-1"))
	return openAgain(t, path, o)
}

func openAgain(t *testing.T, path string, o Options) *Backend {
	t.Helper()
	p, err := pool.Open(path)
	must(t, err)
	b, err := New(p, o)
	must(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // the test did it
			t.Error(err)
		}
	})
	return b
}

const mib = 1 << 20

// volume returns the record of a new volume, of the given project.
func volume(id string, project uint32, bytes int64) state.Volume {
	return state.Volume{
		Meta:   state.Meta{ID: id, UID: strings.Repeat("0", 32-len(id)) + id, Generation: 1},
		Spec:   state.VolumeSpec{Name: id, Node: "node-1", Pool: "default", CapacityBytes: bytes, AccessType: state.MountAccess, Mode: 0o777},
		Status: state.VolumeStatus{QuotaID: project},
	}
}
