package mount

import (
	"slices"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func TestFind(t *testing.T) {
	k := newFake()
	for at, m := range map[string]fakeMount{
		"/t/a":                  {minor: 1, root: "/pool/volumes/a"},
		"/t/with space":         {minor: 1, root: "/pool/volumes/b.c-d"},
		"/t/deleted":            {minor: 1, root: "/pool/volumes/del//deleted"},
		"/t/trash":              {minor: 1, root: "/pool/.trash/tr.x.0a1b"},
		"/t/purged":             {minor: 1, root: "/pool/.trash/pu.0a1b//deleted"},
		"/t/other device":       {minor: 2, root: "/pool/volumes/no"},
		"/t/subdirectory":       {minor: 1, root: "/pool/volumes/no/sub"},
		"/t/volumes":            {minor: 1, root: "/pool/volumes"},
		"/t/pool":               {minor: 1, root: "/pool"},
		"/t/elsewhere":          {minor: 1, root: "/else/pool/volumes/no"},
		"/t/no ID":              {minor: 1, root: "/pool/volumes/No_ID"},
		"/t/claim":              {minor: 1, root: "/pool/claims/shop/data=cl"},
		"/t/claim, purged":      {minor: 1, root: "/pool/claims/shop/data=pc//deleted"},
		"/t/on the way":         {minor: 1, root: "/pool/claims/shop"},
		"/t/in a claim":         {minor: 1, root: "/pool/claims/shop/data=no/data=no"},
		"/pool/claims/x/mount":  {minor: 1, root: "/pool/volumes/no"},
		"/pool/volumes/x/mount": {minor: 1, root: "/pool/volumes/no"},
		"/copied/1":             {minor: 1, root: "/pool/volumes/cp", optional: "shared:7"},
		"/copied/2":             {minor: 1, root: "/pool/volumes/cp", optional: "shared:9 master:7"},
		"/copied/3":             {minor: 1, root: "/pool/volumes/cp", optional: "master:7"},
		"/copied/4":             {minor: 1, root: "/pool/volumes/cp", optional: "shared:8"},
		"/copied/5":             {minor: 1, root: "/pool/volumes/c2", optional: "shared:7"},
		// Made by other means, in the peer group of the pool's mount: no copies.
		"/bound/1": {minor: 1, root: "/pool/volumes/bo", optional: "shared:1"},
		"/bound/2": {minor: 1, root: "/pool/volumes/bo", optional: "shared:1"},
	} {
		k.push(at, m)
	}
	table, err := Load(map[string]string{"p": "/pool"}, LoadOptions{kernel: k})
	if err != nil {
		t.Fatal(err)
	}
	want := []Published{
		{"a", "/t/a"}, {"b.c-d", "/t/with space"}, {"bo", "/bound/1"}, {"bo", "/bound/2"}, {"c2", "/copied/5"}, {"cl", "/t/claim"}, {"cp", "/copied/1"}, {"cp", "/copied/4"},
		{"del", "/t/deleted"}, {"pc", "/t/claim, purged"}, {"pu", "/t/purged"}, {"tr.x", "/t/trash"},
	}
	if got := table.All(); !slices.Equal(got, want) {
		t.Errorf("found %v; want %v", got, want)
	}
	if got := table.Published("cp"); !slices.Equal(got, []string{"/copied/1", "/copied/4"}) {
		t.Errorf("published are %v", got)
	}
}

func TestLoadRefuses(t *testing.T) {
	k := newFake()
	for dir, want := range map[string]state.Reason{"/missing": state.NotReady, "pool": state.Invalid} {
		table, err := Load(map[string]string{"p": dir}, LoadOptions{kernel: k})
		wantReason(t, err, want)
		if table != nil {
			t.Error("there is a table besides the error")
		}
	}
	_, err := Load(nil, LoadOptions{kernel: k, TrustedRoots: []string{"x"}})
	wantReason(t, err, state.Invalid)
}
