package engine

import (
	"github.com/cockroachdb/pebble/v2"
)

type pebbleStore struct{ db *pebble.DB }

func openPebble(dir string) (Store, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		FormatMajorVersion: pebble.FormatNewest,
		LoggerAndTracer:    silent{},
	})
	return pebbleStore{db}, err
}

// Put waits for the commit that it shares with the others that wait.
func (s pebbleStore) Put(key, value []byte) error { return s.db.Set(key, value, pebble.Sync) }

func (s pebbleStore) Fill(n int, record func(int) (key, value []byte)) error {
	for i := range n {
		k, v := record(i)
		if err := s.db.Set(k, v, pebble.NoSync); err != nil {
			return err
		}
	}
	return s.db.Flush()
}

func (s pebbleStore) Get(key []byte) error {
	_, closer, err := s.db.Get(key)
	if err != nil {
		return err
	}
	return closer.Close()
}

func (s pebbleStore) Scan() (int, error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			_ = it.Close() // the first error tells
			return n, err
		}
		n++
	}
	return n, it.Close()
}

func (s pebbleStore) Close() error { return s.db.Close() }
