package pebble

import (
	"path/filepath"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.Run(t,
		func(t *testing.T) state.Store {
			return mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true, fs: unsyncedFS()})
		},
		statetest.Reopen(func(t *testing.T, s state.Store) state.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return mustOpen(t, s.(*Store).dir, Options{fs: unsyncedFS()})
		}))
}

// openNew opens a new store in a directory of its own.
func openNew(t *testing.T) *Store {
	return mustOpen(t, filepath.Join(t.TempDir(), "state"), Options{Create: true})
}

func mustOpen(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, s) })
	return s
}

func mustClose(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// mustStore makes a volume Ready.
func mustStore(t *testing.T, s *Store, id string) state.Volume {
	t.Helper()
	if _, err := s.Volumes().Create(t.Context(), id, state.VolumeSpec{Name: id, Node: "node-1", Pool: "default"}); err != nil {
		t.Fatal(err)
	}
	v, err := s.Volumes().UpdateStatus(t.Context(), id, func(u *state.VolumeStatus) error { u.Phase = state.Ready; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return v
}
