//go:build quotavm

package projectquota

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/backendtest"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// mkfsArgs has the filesystems that limit projects.
var mkfsArgs = map[string][]string{"xfs": nil, "ext4": {"-O", "quota,project", "-N", "150000"}}

// limitingFilesystems runs a test on each.
func limitingFilesystems(t *testing.T, size int64, run func(t *testing.T, kind, at string)) {
	for kind, args := range mkfsArgs {
		t.Run(kind, func(t *testing.T) {
			run(t, kind, filesystem.New(t, kind, size, filesystem.MkfsArgs(args...), filesystem.MountOptions("prjquota")))
		})
	}
}

// asAgent does for the suite what the agent does: it gives each volume a project
// before it is built, and keeps that in the record. The suite's records have none.
type asAgent struct {
	*Backend
	mu       sync.Mutex
	projects map[string]uint32 // by UID
}

func (a *asAgent) with(v state.Volume) state.Volume {
	a.mu.Lock()
	defer a.mu.Unlock()
	v.Status.QuotaID = a.projects[v.UID]
	return v
}

// take gives the volume a project, unless it has one, or is an image, which needs none.
func (a *asAgent) take(v state.Volume) (state.Volume, error) {
	if v.Spec.AccessType != state.BlockAccess && a.with(v).Status.QuotaID == 0 {
		id, err := a.QuotaIDs().Take()
		if err != nil {
			return v, err
		}
		a.mu.Lock()
		a.projects[v.UID] = id
		a.mu.Unlock()
	}
	return a.with(v), nil
}

func (a *asAgent) Build(ctx context.Context, v state.Volume) error {
	v, err := a.take(v)
	if err != nil {
		return err
	}
	return a.Backend.Build(ctx, v)
}

func (a *asAgent) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	v, err := a.take(v)
	if err != nil {
		return err
	}
	return a.Backend.BuildFrom(ctx, v, from, progress)
}

func (a *asAgent) Adopt(ctx context.Context, v state.Volume, own func(*state.Meta) error) error {
	v, err := a.take(v)
	if err != nil {
		return err
	}
	return a.Backend.Adopt(ctx, v, own)
}

func (a *asAgent) Footprint(ctx context.Context, v state.Volume) (int64, error) {
	return a.Backend.Footprint(ctx, a.with(v))
}

func (a *asAgent) Resize(ctx context.Context, v state.Volume) error {
	return a.Backend.Resize(ctx, a.with(v))
}

func (a *asAgent) Usage(ctx context.Context, v state.Volume) (state.Usage, error) {
	return a.Backend.Usage(ctx, a.with(v))
}

func (a *asAgent) ReadRecord(path string) (state.Volume, error) {
	v, err := a.Backend.ReadRecord(path)
	v.Status.QuotaID = 0
	return v, err
}

func (a *asAgent) Discard(ctx context.Context, v state.Volume) error {
	if err := a.Backend.Discard(ctx, a.with(v)); err != nil {
		return err
	}
	if id := a.with(v).Status.QuotaID; id != 0 {
		return a.QuotaIDs().Release(id)
	}
	return nil
}

func TestSuite(t *testing.T) {
	limitingFilesystems(t, 1<<30, func(t *testing.T, kind, at string) {
		var pools atomic.Int32
		open := func(t *testing.T) backend.Backend {
			b := openNew(t, filepath.Join(at, strconv.Itoa(int(pools.Add(1)))), Options{})
			if want := (backend.Features{Filesystem: kind, EnforcesLimits: true, SharesBlocks: kind == "xfs"}); b.Features() != want || b.Unenforced() != nil {
				t.Errorf("features %+v (%v), want %+v", b.Features(), b.Unenforced(), want)
			}
			return &asAgent{Backend: b, projects: map[string]uint32{}}
		}
		backendtest.Run(t, open, backendtest.Slow, backendtest.Reopen(func(t *testing.T, b backend.Backend) backend.Backend {
			a := b.(*asAgent)
			must(t, a.Close())
			return &asAgent{Backend: openAgain(t, a.Path(), Options{}), projects: a.projects}
		}))
	})
}
