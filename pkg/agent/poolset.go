package agent

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// poolSet is the pools that a node has now, by name.
type poolSet struct {
	mu     sync.RWMutex
	byName map[string]*nodePool
}

func newPoolSet() *poolSet { return &poolSet{byName: map[string]*nodePool{}} }

// get returns the pool of that name, or nil.
func (s *poolSet) get(name string) *nodePool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// all returns the pools in the order of their names.
func (s *poolSet) all() []*nodePool {
	s.mu.RLock()
	all := slices.Collect(maps.Values(s.byName))
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *nodePool) int { return cmp.Compare(a.o.Name, b.o.Name) })
	return all
}

func (s *poolSet) put(p *nodePool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[p.o.Name] = p
}

func (s *poolSet) remove(p *nodePool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byName, p.o.Name)
}
