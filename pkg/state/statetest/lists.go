package statetest

import (
	"slices"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

func listOrder(t *testing.T, s state.Store) {
	list, next, err := s.Volumes().List(soon(t), state.Page{})
	if err != nil || len(list) != 0 || next != "" {
		t.Fatalf("an empty store lists %v, %q, %v", list, next, err)
	}
	ids := []string{"b", "a", "a.b", "a-b", "ab", "0", "z9", "a.b.c"}
	for _, id := range ids {
		mustCreate(t, s, id)
	}
	slices.Sort(ids)
	list, next, err = s.Volumes().List(soon(t), state.Page{})
	if err != nil || next != "" {
		t.Fatalf("next page %q, error %v", next, err)
	}
	wantIDs(t, list, ids...)
}

func listPages(t *testing.T, s state.Store) {
	var ids []string
	for i := range 7 {
		ids = append(ids, mustCreate(t, s, number("v", i)).ID)
	}
	for limit := range len(ids) + 2 {
		var all []state.Volume
		for page := (state.Page{Limit: limit}); ; {
			list, next, err := s.Volumes().List(soon(t), page)
			if err != nil {
				t.Fatal(err)
			}
			if limit > 0 && len(list) > limit {
				t.Fatalf("a page of %d has %d records", limit, len(list))
			}
			all = append(all, list...)
			if next == "" {
				break
			}
			if len(list) == 0 {
				t.Fatal("a page is empty, but not the last one")
			}
			page.After = next
		}
		wantIDs(t, all, ids...)
	}
	_, next, err := s.Volumes().List(soon(t), state.Page{Limit: len(ids)})
	if err != nil || next != "" {
		t.Errorf("after a page that holds all, the next is %q (error: %v)", next, err)
	}
}

func listAfter(t *testing.T, s state.Store) {
	for _, id := range []string{"a", "b", "c"} {
		mustCreate(t, s, id)
	}
	for after, want := range map[string][]string{
		"a": {"b", "c"}, "aa": {"b", "c"}, "a\x00": {"b", "c"}, "A": {"a", "b", "c"}, "c": nil, "\xff": nil, "../c": {"a", "b", "c"},
	} {
		list, next, err := s.Volumes().List(soon(t), state.Page{After: after})
		if err != nil || next != "" {
			t.Errorf("after %q: next page %q, error %v", after, next, err)
		}
		wantIDs(t, list, want...)
	}
}

func listMoving(t *testing.T, s state.Store) {
	for _, id := range []string{"b", "d", "f", "h"} {
		mustCreate(t, s, id)
	}
	first, next, err := s.Volumes().List(soon(t), state.Page{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, first, "b", "d")

	mustFinalize(t, s, first[1]) // the record at which the next page begins
	mustFinalize(t, s, mustGet(t, s, "f"))
	for _, id := range []string{"a", "c", "e", "i"} {
		mustCreate(t, s, id)
	}
	rest, next, err := s.Volumes().List(soon(t), state.Page{After: next})
	if err != nil || next != "" {
		t.Fatalf("next page %q, error %v", next, err)
	}
	wantIDs(t, rest, "e", "h", "i")
}
