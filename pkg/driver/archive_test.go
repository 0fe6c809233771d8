package driver

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// purges are what was asked to be removed from archives.
type purges struct{ got []string }

func (p *purges) PurgeArchived(_ context.Context, pool, name string) error {
	p.got = append(p.got, pool+" "+name)
	if name == "promised" {
		return state.Errorf(state.AlreadyExists, "it is being made a volume")
	}
	return nil
}

func TestTheArchiveIsPurgedByPoolAndName(t *testing.T) {
	for _, served := range []bool{true, false} {
		p, o := &purges{}, Options{}
		if served {
			o.Archive = p
		}
		conn := dialServed(t, o)
		for _, c := range []struct {
			name string
			want codes.Code
		}{{"fast/a\xff", codes.OK}, {"fast/promised", codes.AlreadyExists}, {"", codes.InvalidArgument}, {"fast", codes.InvalidArgument}, {"fast/", codes.InvalidArgument}, {"/a", codes.InvalidArgument}} {
			if !served {
				c.want = codes.Unimplemented
			}
			if err := PurgeArchived(t.Context(), conn, c.name); status.Code(err) != c.want {
				t.Errorf("served: %v, %q: %v, want %s", served, c.name, err, c.want)
			}
		}
		if want := []string{"fast a\xff", "fast promised"}; served && !slices.Equal(p.got, want) || !served && len(p.got) > 0 {
			t.Errorf("served: %v, it was asked for %q", served, p.got)
		}
	}
}

// What a volume is to be made of is told in metadata, by one name, and only where the
// disk is.
func TestWhatAVolumeIsMadeOfIsToldOnce(t *testing.T) {
	source := &state.Source{Kind: state.FromVolume, ID: "v"}
	for what, c := range map[string]struct {
		headers   []string
		want      wanted
		elsewhere bool
		adopt     string
		source    *state.Source
		reason    state.Reason
	}{
		"nothing":                     {},
		"a volume, as CSI has it":     {want: wanted{source: source}, source: source},
		"a directory":                 {headers: []string{AdoptHeader, "legacy/db"}, adopt: "legacy/db"},
		"a copy of the archive":       {headers: []string{CopyArchivedHeader, "x.1"}, source: &state.Source{Kind: state.FromArchive, ID: "x.1"}},
		"two directories":             {headers: []string{AdoptHeader, "a", AdoptHeader, "b"}, reason: state.Invalid},
		"no directory":                {headers: []string{AdoptHeader, ""}, reason: state.Invalid},
		"two of the archive":          {headers: []string{CopyArchivedHeader, "a", CopyArchivedHeader, "b"}, reason: state.Invalid},
		"none of the archive":         {headers: []string{CopyArchivedHeader, ""}, reason: state.Invalid},
		"both":                        {headers: []string{AdoptHeader, "a", CopyArchivedHeader, "b"}, reason: state.Invalid},
		"a directory and a volume":    {headers: []string{AdoptHeader, "a"}, want: wanted{source: source}, reason: state.Invalid},
		"the archive and a volume":    {headers: []string{CopyArchivedHeader, "a"}, want: wanted{source: source}, reason: state.Invalid},
		"a directory, in a cluster":   {headers: []string{AdoptHeader, "a"}, elsewhere: true, reason: state.Invalid},
		"the archive, in a cluster":   {headers: []string{CopyArchivedHeader, "a"}, elsewhere: true, reason: state.Invalid},
		"another's, which is nothing": {headers: []string{"x-request-id", "a"}},
	} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(c.headers...))
		controller := &controller{adopts: !c.elsewhere}
		var err error
		if c.want.adopt, err = controller.adopted(ctx, c.want); err == nil {
			c.want.source, err = controller.copied(ctx, c.want)
		}
		if state.ReasonOf(err) != c.reason || err == nil && (c.want.adopt != c.adopt || !sameSource(c.want.source, c.source)) {
			t.Errorf("%s: made of %q and %+v, %v", what, c.want.adopt, c.want.source, err)
		}
	}
}
