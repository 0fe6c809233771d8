package agent

import (
	"context"
	"errors"
	"os"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// failing fails after the volume was half built.
func failing(with error) func(backend.Backend) backend.Backend {
	return func(b backend.Backend) backend.Backend {
		return &interceptor{Backend: b, build: func(ctx context.Context, v state.Volume) error {
			return errors.Join(b.Build(ctx, v), with)
		}}
	}
}

// interceptor does something else than the backend behind it.
type interceptor struct {
	backend.Backend
	build   func(ctx context.Context, v state.Volume) error
	resize  func(ctx context.Context, v state.Volume) error
	discard func(ctx context.Context, v state.Volume) error
	purge   func(ctx context.Context, name string, progress func(int)) error
	// copy, if set, runs before a snapshot or a volume is copied.
	copy            func(ctx context.Context, id string, progress func(state.Progress)) error
	discardSnapshot func(ctx context.Context, s state.Snapshot) error
}

func (i *interceptor) Snapshot(ctx context.Context, s state.Snapshot, from *os.File, progress func(state.Progress)) error {
	if i.copy != nil {
		if err := i.copy(ctx, s.ID, progress); err != nil {
			return err
		}
	}
	return i.Backend.Snapshot(ctx, s, from, progress)
}

func (i *interceptor) BuildFrom(ctx context.Context, v state.Volume, from *os.File, progress func(state.Progress)) error {
	if i.copy != nil {
		if err := i.copy(ctx, v.ID, progress); err != nil {
			return err
		}
	}
	return i.Backend.BuildFrom(ctx, v, from, progress)
}

func (i *interceptor) DiscardSnapshot(ctx context.Context, s state.Snapshot) error {
	if i.discardSnapshot != nil {
		return i.discardSnapshot(ctx, s)
	}
	return i.Backend.DiscardSnapshot(ctx, s)
}

func (i *interceptor) Build(ctx context.Context, v state.Volume) error {
	if i.build != nil {
		return i.build(ctx, v)
	}
	return i.Backend.Build(ctx, v)
}

func (i *interceptor) Resize(ctx context.Context, v state.Volume) error {
	if i.resize != nil {
		return i.resize(ctx, v)
	}
	return i.Backend.Resize(ctx, v)
}

func (i *interceptor) Discard(ctx context.Context, v state.Volume) error {
	if i.discard != nil {
		return i.discard(ctx, v)
	}
	return i.Backend.Discard(ctx, v)
}

func (i *interceptor) Purge(ctx context.Context, name string, progress func(int)) error {
	if i.purge != nil {
		return i.purge(ctx, name, progress)
	}
	return i.Backend.Purge(ctx, name, progress)
}
