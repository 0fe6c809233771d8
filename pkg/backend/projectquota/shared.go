package projectquota

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/quota"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// allocators has one quota.IDs for each filesystem with an open pool, by its device
// number: project IDs are the filesystem's, and several pools may lie on one. While a
// pool is open, its filesystem is mounted, and the number means no other.
var allocators = struct {
	sync.Mutex
	of map[uint64]*allocator
}{of: map[uint64]*allocator{}}

type allocator struct {
	*quota.IDs
	root  *os.File // of its own: pools close theirs
	pools int
}

// poolIDs is one pool's share of an allocator: what it holds is released with it, since
// the pool may be opened again, and its records' IDs held again, while another pool
// keeps the allocator alive.
type poolIDs struct {
	*quota.IDs
	close func() error

	mu   sync.Mutex
	held map[uint32]struct{}
}

func (p *poolIDs) Take() (uint32, error) {
	id, err := p.IDs.Take()
	if err == nil {
		p.note(id)
	}
	return id, err
}

func (p *poolIDs) Hold(id uint32) error {
	err := p.IDs.Hold(id)
	if err == nil {
		p.note(id)
	}
	return err
}

func (p *poolIDs) Release(id uint32) error {
	p.mu.Lock()
	_, held := p.held[id]
	delete(p.held, id)
	p.mu.Unlock()
	if !held {
		return nil
	}
	return p.IDs.Release(id)
}

func (p *poolIDs) note(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held[id] = struct{}{}
}

// Close releases all that the pool holds. The volumes' files keep their IDs reserved.
func (p *poolIDs) Close() error {
	p.mu.Lock()
	held := p.held
	p.held = map[uint32]struct{}{}
	p.mu.Unlock()
	var errs []error
	for id := range held {
		errs = append(errs, p.IDs.Release(id))
	}
	return errors.Join(append(errs, p.close())...)
}

// shareIDs returns the IDs of the filesystem that root is on, until they are closed.
func shareIDs(root *os.File, r quota.Range) (*poolIDs, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(root.Fd()), &st); err != nil {
		return nil, fmt.Errorf("stat: %w", err)
	}
	allocators.Lock()
	defer allocators.Unlock()
	a := allocators.of[st.Dev]
	if a == nil {
		var err error
		if a, err = newAllocator(root, r); err != nil {
			return nil, err
		}
		allocators.of[st.Dev] = a
	}
	if a.Range != r {
		return nil, state.Errorf(state.Invalid, "another pool of the same filesystem takes its project IDs from %+v, this one from %+v: give both the same", a.Range, r)
	}
	a.pools++
	leave := func() error {
		allocators.Lock()
		defer allocators.Unlock()
		if a.pools--; a.pools > 0 {
			return nil
		}
		delete(allocators.of, st.Dev)
		return a.root.Close()
	}
	return &poolIDs{IDs: a.IDs, close: sync.OnceValue(leave), held: map[uint32]struct{}{}}, nil
}

func newAllocator(root *os.File, r quota.Range) (*allocator, error) {
	fd, err := unix.FcntlInt(root.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("dup: %w", err)
	}
	own := os.NewFile(uintptr(fd), root.Name())
	fs, err := quota.Open(own)
	if err == nil {
		var ids *quota.IDs
		if ids, err = quota.NewIDs(fs, r); err == nil {
			return &allocator{IDs: ids, root: own}, nil
		}
	}
	_ = own.Close()
	return nil, err
}
