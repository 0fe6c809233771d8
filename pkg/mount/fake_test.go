package mount

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// fake is a kernel with one filesystem, in which "/pool" is a pool.
type fake struct {
	mu      sync.Mutex
	files   map[string]kind // what is beneath the mounts
	stacks  map[string][]fakeMount
	sources map[*os.File]fakeSource
	lastID  int

	readOnly  bool  // the filesystem is
	attachErr error // what attach fails with
	lookErr   error // what looking at a mount fails with
	parses    int   // calls of mounts
}

type fakeSource struct {
	source
	root string
}

type fakeMount struct {
	id, minor int
	root      string
	ident     identity
	attrs     attrs
	optional  string
}

func newFake() *fake {
	return &fake{files: map[string]kind{"/": directory}, stacks: map[string][]fakeMount{}, sources: map[*os.File]fakeSource{}, lastID: 1}
}

// volume makes a volume's directory in the pool, open.
func (k *fake) volume(id string) *os.File {
	f := new(os.File)
	k.sources[f] = fakeSource{source{identity{1, uint64(100 + len(k.sources))}, directory, 0}, "/pool/volumes/" + id}
	return f
}

// push mounts something behind the driver's back.
func (k *fake) push(at string, m fakeMount) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastID++
	m.id = k.lastID
	k.stacks[at] = append(k.stacks[at], m)
}

func (k *fake) foreign(at string) {
	k.push(at, fakeMount{minor: 9, root: "/", ident: identity{9, 2}})
}

func (k *fake) pop(at string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stacks[at] = k.stacks[at][:len(k.stacks[at])-1]
}

func (k *fake) mkdir(at string) {
	for ; at != "/"; at = path.Dir(at) {
		k.files[at] = directory
	}
}

func (k *fake) mounts() ([]*mountinfo.Info, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.parses++
	all := []*mountinfo.Info{{ID: 1, Major: 8, Minor: 1, Root: "/", Mountpoint: "/", Options: "rw", Optional: "shared:1"}}
	for _, at := range slices.Sorted(maps.Keys(k.stacks)) {
		parent := 1
		for _, m := range k.stacks[at] {
			options := "rw"
			if m.attrs&unix.MOUNT_ATTR_RDONLY != 0 {
				options = "ro"
			}
			all = append(all, &mountinfo.Info{ID: m.id, Parent: parent, Major: 8, Minor: m.minor, Root: m.root, Mountpoint: at,
				Options: options, Optional: m.optional})
			parent = m.id
		}
	}
	return all, nil
}

func (k *fake) realPath(dir string) (string, error) { return dir, nil }

func (k *fake) locate(dir string) (string, int, error) {
	if dir != "/pool" {
		return "", 0, unix.ENOENT
	}
	return dir, 1, nil
}

func (k *fake) source(f *os.File) (source, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.sources[f].source
	if k.readOnly {
		s.attrs |= unix.MOUNT_ATTR_RDONLY
	}
	return s, nil
}

func (k *fake) open(target string, as kind) (place, error) {
	create := as != nothing
	k.mu.Lock()
	defer k.mu.Unlock()
	p := &fakePlace{k: k, at: target}
	var way []string
	for dir := path.Dir(target); dir != "/"; dir = path.Dir(dir) {
		way = append(way, dir)
	}
	slices.Reverse(way)
	if create {
		way = append(way, target)
	}
	for _, dir := range way {
		switch k.files[dir] {
		case symlink:
			if dir != target {
				return nil, fmt.Errorf("open: %w", unix.ELOOP)
			}
		case notDirectory:
			if dir != target {
				return nil, fmt.Errorf("open: %w", unix.ENOTDIR)
			}
		case "":
			if !create {
				return nil, fmt.Errorf("open: %w", unix.ENOENT)
			}
			k.files[dir] = directory
			p.made = append(p.made, dir)
		}
	}
	return p, nil
}

type fakePlace struct {
	k    *fake
	at   string
	made []string
}

func (p *fakePlace) top() *fakeMount {
	s := p.k.stacks[p.at]
	if len(s) == 0 {
		return nil
	}
	return &s[len(s)-1]
}

func (p *fakePlace) look() (found, error) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if m := p.top(); m != nil {
		if p.k.lookErr != nil {
			return found{}, p.k.lookErr
		}
		return found{directory, m.ident, true, m.id}, nil
	}
	if f, ok := p.k.files[p.at]; ok {
		return found{f, identity{1, 7}, false, 1}, nil
	}
	return found{kind: missing}, nil
}

func (p *fakePlace) attributes() (attrs, error) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	a := p.top().attrs
	if p.k.readOnly {
		a |= unix.MOUNT_ATTR_RDONLY
	}
	return a, nil
}

func (p *fakePlace) empty() (bool, error) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.isEmpty(p.at), nil
}

func (p *fakePlace) isEmpty(dir string) bool {
	for f := range p.k.files {
		if strings.HasPrefix(f, dir+"/") {
			return false
		}
	}
	return true
}

func (p *fakePlace) attach(src *os.File, o Options) error {
	p.k.mu.Lock()
	if p.k.attachErr != nil {
		defer p.k.mu.Unlock()
		return p.k.attachErr
	}
	if p.top() != nil {
		panic("a mount was stacked at " + p.at)
	}
	set, clr := o.change()
	s := p.k.sources[src]
	p.k.mu.Unlock()
	p.k.push(p.at, fakeMount{minor: 1, root: s.root, ident: s.id, attrs: s.attrs&^clr | set})
	return nil
}

func (p *fakePlace) detach() error {
	p.k.pop(p.at)
	return nil
}

func (p *fakePlace) remove(kind) error {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	return p.rmdir(p.at)
}

func (p *fakePlace) rmdir(dir string) error {
	switch {
	case p.k.files[dir] == "":
		return unix.ENOENT
	case p.k.files[dir] != directory:
		return unix.ENOTDIR
	case len(p.k.stacks[dir]) > 0:
		return unix.EBUSY
	case !p.isEmpty(dir):
		return unix.ENOTEMPTY
	}
	delete(p.k.files, dir)
	return nil
}

func (p *fakePlace) undo() {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	for _, dir := range slices.Backward(p.made) {
		_ = p.rmdir(dir)
	}
}

func (p *fakePlace) close() {}
