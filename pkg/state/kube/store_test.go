//go:build kubestore

package kube

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
	"github.com/hostpath-csi/hostpath-csi/pkg/state/statetest"
)

func TestStore(t *testing.T) {
	statetest.Run(t,
		func(t *testing.T) state.Store { return openEmpty(t, Options{}) },
		statetest.Reopen(func(t *testing.T, s state.Store) state.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return mustOpen(t, Options{})
		}))
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustOpen(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(soon(t), server.Config(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// openEmpty removes all there is before it opens a store.
func openEmpty(t *testing.T, o Options) *Store {
	t.Helper()
	s := mustOpen(t, Options{})
	empty(t, s.volumes)
	empty(t, s.snapshots)
	empty(t, s.nodes)
	if o == (Options{}) {
		return s
	}
	return mustOpen(t, o)
}

// empty removes objects without asking the store, whatever they say.
func empty[S, U any, O object[S, U]](t *testing.T, r *records[S, U, O]) {
	t.Helper()
	ctx := soon(t)
	objects, _ := r.cache.page(state.Page{})
	for _, obj := range objects {
		if _, err := r.api.Patch(ctx, obj.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if obj.GetDeletionTimestamp() == nil {
			if err := r.api.Delete(ctx, obj.GetName(), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, obj := range objects {
		if err := state.AwaitGone(ctx, r, obj.RecordID(), uidOf(obj), nil); err != nil {
			t.Fatal(err)
		}
	}
}
