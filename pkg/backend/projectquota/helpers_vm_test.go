//go:build quotavm

package projectquota

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// create builds and places a volume, and returns its record and its directory.
func (b *Backend) create(t *testing.T, v state.Volume) (state.Volume, string) {
	t.Helper()
	must(t, b.Build(t.Context(), v))
	path, err := b.Place(t.Context(), v)
	must(t, err)
	v.Status.Phase, v.Status.Path, v.Status.CapacityBytes = state.Ready, path, v.Spec.CapacityBytes
	return v, b.Path() + "/" + path
}

func (b *Backend) purgeAll(t *testing.T) {
	t.Helper()
	entries, err := b.Trash(t.Context())
	must(t, err)
	for _, name := range entries {
		must(t, b.Purge(t.Context(), name, func(int) {}))
	}
}

func (b *Backend) discard(t *testing.T, v state.Volume) {
	t.Helper()
	must(t, b.Discard(t.Context(), v), b.Settle(t.Context()))
}
