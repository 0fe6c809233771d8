package engine

import "go.etcd.io/bbolt"

// groupedBbolt commits all Puts that wait at a time together, in a goroutine of
// its own: while one commit is written, the next one gathers.
type groupedBbolt struct {
	*bboltStore
	puts chan put
	done chan struct{}
}

type put struct {
	key, value []byte
	err        chan error
}

func openGroupedBbolt(dir string) (Store, error) {
	s, err := newBbolt(dir)
	if err != nil {
		return nil, err
	}
	g := &groupedBbolt{bboltStore: s, puts: make(chan put, 1024), done: make(chan struct{})}
	go g.commit()
	return g, nil
}

func (g *groupedBbolt) commit() {
	defer close(g.done)
	for first := range g.puts {
		group := []put{first}
		for len(g.puts) > 0 {
			group = append(group, <-g.puts)
		}
		err := g.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			for _, p := range group {
				if err := b.Put(p.key, p.value); err != nil {
					return err
				}
			}
			return nil
		})
		for _, p := range group {
			p.err <- err
		}
	}
}

func (g *groupedBbolt) Put(key, value []byte) error {
	p := put{key, value, make(chan error, 1)}
	g.puts <- p
	return <-p.err
}

func (g *groupedBbolt) Close() error {
	close(g.puts)
	<-g.done
	return g.bboltStore.Close()
}
