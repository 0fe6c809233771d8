package engine

import (
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"
)

var bucket = []byte("records")

// bboltStore commits every Put for itself.
type bboltStore struct{ db *bbolt.DB }

// openBbolt opens with etcd's options: the free pages are not written with every
// commit but found anew when the store is opened.
func openBbolt(dir string) (Store, error) { return newBbolt(dir) }

func newBbolt(dir string) (*bboltStore, error) {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true,
	})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	return &bboltStore{db}, err
}

func (s *bboltStore) Put(key, value []byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
}

func (s *bboltStore) Fill(n int, record func(int) (key, value []byte)) error {
	const batch = 10_000
	for from := 0; from < n; from += batch {
		err := s.db.Update(func(tx *bbolt.Tx) error {
			for i := from; i < min(from+batch, n); i++ {
				if err := tx.Bucket(bucket).Put(record(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *bboltStore) Get(key []byte) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket).Get(key) == nil {
			return fmt.Errorf("no record %q", key)
		}
		return nil
	})
}

func (s *bboltStore) Scan() (int, error) {
	n := 0
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucket).ForEach(func(_, _ []byte) error { n++; return nil })
	})
	return n, err
}

func (s *bboltStore) Close() error { return s.db.Close() }
