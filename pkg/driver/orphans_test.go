package driver

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// removals are the orphans that were asked for.
type removals struct{ got [][2]string }

func (r *removals) Orphans() []string { return []string{"fast/volumes/a", "fast/volumes/\xff"} }

func (r *removals) RemoveOrphan(_ context.Context, pool, path string) error {
	r.got = append(r.got, [2]string{pool, path})
	if path == "volumes/used" {
		return state.Errorf(state.InUse, "it is mounted")
	}
	return nil
}

func TestOrphansAreAskedForByPoolAndPath(t *testing.T) {
	for _, served := range []bool{true, false} {
		r, o := &removals{}, Options{}
		if served {
			o.Orphans = r
		}
		conn := dialServed(t, o)
		for orphan, want := range map[string]codes.Code{
			"fast/volumes/a\xff\n": codes.OK, "fast/claims/x/y": codes.OK, "fast/volumes/used": codes.FailedPrecondition,
			"": codes.InvalidArgument, "fast": codes.InvalidArgument, "fast/": codes.InvalidArgument, "/volumes/a": codes.InvalidArgument,
		} {
			if !served {
				want = codes.Unimplemented
			}
			if err := RemoveOrphan(t.Context(), conn, orphan); status.Code(err) != want {
				t.Errorf("served: %v, %q: %v, want %s", served, orphan, err, want)
			}
		}
		list, err := ListOrphans(t.Context(), conn)
		if served && (err != nil || !slices.Equal(list, []string{"fast/volumes/a"})) || !served && status.Code(err) != codes.Unimplemented {
			t.Errorf("served: %v, it lists %q (%v)", served, list, err)
		}
		if served && len(r.got) != 3 || !served && len(r.got) != 0 {
			t.Errorf("it was asked for %q", r.got)
		}
		for _, got := range r.got {
			if got[0] != "fast" {
				t.Errorf("it was asked for %q", got)
			}
		}
	}
}
