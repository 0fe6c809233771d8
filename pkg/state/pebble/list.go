package pebble

import (
	"context"

	pebbledb "github.com/cockroachdb/pebble/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// List returns a page of one consistent view of the records.
func (r *records[S, U]) List(ctx context.Context, page state.Page) (list []state.Object[S, U], next string, err error) {
	if page.Limit < 0 {
		return nil, "", state.Errorf(state.Invalid, "listing %d %ss", page.Limit, r.kind)
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	if err := r.store.enter(); err != nil {
		return nil, "", err
	}
	defer r.store.life.RUnlock()

	list, next, err = r.scan(ctx, page)
	if err == nil {
		err = r.store.settle()
	}
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}

func (r *records[S, U]) scan(ctx context.Context, page state.Page) (list []state.Object[S, U], next string, err error) {
	iter, err := r.store.db.NewIterWithContext(ctx, &pebbledb.IterOptions{
		LowerBound: []byte(r.prefix),
		UpperBound: keyAfterAll(r.prefix),
	})
	if err != nil {
		return nil, "", r.readError("", err)
	}
	defer func() {
		if e := iter.Close(); err == nil && e != nil {
			err = r.readError("", e)
		}
	}()
	start := r.prefix
	if page.After != "" {
		start += page.After + "\x00" // the first key behind that of After
	}
	for more := iter.SeekGE([]byte(start)); more; more = iter.Next() {
		if page.Limit > 0 && len(list) == page.Limit {
			return list, list[len(list)-1].ID, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		key := string(iter.Key())
		value, err := iter.ValueAndErr()
		if err != nil {
			return nil, "", r.readError(key, err)
		}
		obj, err := decode[S, U](key, value)
		if err != nil {
			return nil, "", r.corrupt(key, err)
		}
		list = append(list, obj)
	}
	return list, "", nil // an error of the iterator is told by its Close
}

// keyAfterAll returns the least key behind all keys with a prefix.
func keyAfterAll(prefix string) []byte {
	key := []byte(prefix)
	key[len(key)-1]++
	return key
}
