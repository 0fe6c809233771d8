package mount

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// LoadOptions are the settings of a Table. The zero value is usable.
type LoadOptions struct {
	// TrustedRoots are directories whose own path may have symbolic links in it,
	// such as a /var/lib/kubelet that was moved to another disk. They are resolved
	// once, here; beneath them no link is followed.
	TrustedRoots []string

	kernel kernel // for tests; nil: the real one
}

// pool is a pool's place, in terms of the kernel's list of mounts.
type pool struct {
	dir          string // without symbolic links
	major, minor int    // the filesystem, as the list names it (btrfs: not st_dev)
	root         string // the pool within its filesystem; "" for its root
	group        string // the peer group of the mount it is in
}

// Load makes the Table of the publishes that the pools' volumes have now, from one
// reading of the kernel's list of mounts. It takes each pool's name and absolute
// directory. A pool that cannot be found there is an error with Reason NotReady;
// leave it out, and AddPool it when it can.
func Load(pools map[string]string, o LoadOptions) (*Table, error) {
	t := &Table{
		kernel:    o.kernel,
		pools:     map[string]pool{},
		publishes: map[string]map[string]publish{},
		retired:   map[string]bool{},
	}
	if t.kernel == nil {
		t.kernel = linux{}
	}
	for _, given := range o.TrustedRoots {
		if !filepath.IsAbs(given) {
			return nil, state.Errorf(state.Invalid, "trusted root: got %s; it takes an absolute path", state.Quote(given))
		}
		given = filepath.Clean(given)
		real, err := t.kernel.realPath(given)
		if err != nil {
			return nil, state.Errorf(state.NotReady, "trusted root %s: %w", state.Quote(given), err)
		}
		t.trusted = append(t.trusted, trustedRoot{given, real})
	}
	if err := t.addPools(pools); err != nil {
		return nil, err
	}
	return t, nil
}

// AddPool adds a pool, or finds one again whose disk was mounted anew, with the
// publishes that its volumes have.
func (t *Table) AddPool(name, dir string) error {
	return t.addPools(map[string]string{name: dir})
}

func (t *Table) addPools(dirs map[string]string) error {
	mounts, err := t.mounts()
	if err != nil {
		return err
	}
	added := map[string]pool{}
	for name, dir := range dirs {
		if added[name], err = t.findPool(dir, mounts); err != nil {
			return state.Errorf(state.ReasonOf(err), "pool %q: %w", name, err)
		}
	}
	t.mu.Lock()
	maps.Copy(t.pools, added)
	t.mu.Unlock()
	for _, p := range t.find(mounts) {
		if _, known := t.known(p.VolumeID)[p.Target]; !known {
			t.enter(p.VolumeID, p.Target, publish{id: t.look(p.Target, p.mountID)})
		}
	}
	return t.freeUnused(slices.Collect(maps.Values(added)))
}

func (t *Table) mounts() ([]*mountinfo.Info, error) {
	mounts, err := t.kernel.mounts()
	if err != nil {
		return nil, state.Errorf(reasonOf(err), "the kernel's list of mounts: %w", err)
	}
	return mounts, nil
}

func (t *Table) findPool(dir string, mounts []*mountinfo.Info) (pool, error) {
	if !filepath.IsAbs(dir) {
		return pool{}, state.Errorf(state.Invalid, "got the directory %s; it takes an absolute path", state.Quote(dir))
	}
	path, mountID, err := t.kernel.locate(dir)
	if err != nil {
		return pool{}, state.Errorf(state.NotReady, "directory %s: %w", state.Quote(dir), err)
	}
	i := slices.IndexFunc(mounts, func(m *mountinfo.Info) bool { return m.ID == mountID })
	if i < 0 {
		return pool{}, state.Errorf(state.NotReady, "directory %s: its mount is not in the kernel's list", state.Quote(dir))
	}
	m := mounts[i]
	rest, ok := beneath(m.Mountpoint, path)
	if !ok {
		return pool{}, state.Errorf(state.NotReady, "directory %s: it is at %s, but its mount at %s",
			state.Quote(dir), state.Quote(path), state.Quote(m.Mountpoint))
	}
	return pool{
		dir:   path,
		major: m.Major, minor: m.Minor,
		root:  strings.TrimSuffix(filepath.Join(m.Root, rest), "/"),
		group: peerGroup(m),
	}, nil
}

// mounted is a publish in the kernel's list.
type mounted struct {
	Published
	mountID int
}

// find picks the publishes out of the kernel's list.
//
// Where the target's parent is shared and visible at several paths, the kernel has
// copied the publish to each of them. These copies are one publish: otherwise a
// volume that wants to be published once could never be published again after a
// restart. They are known by their peer group, which Publish makes one of its own.
// The first in the list, the oldest, stands for all.
func (t *Table) find(mounts []*mountinfo.Info) []mounted {
	t.mu.Lock()
	pools := slices.Collect(maps.Values(t.pools))
	t.mu.Unlock()
	type copies struct{ volume, group string }
	seen := map[copies]bool{}
	var all []mounted
	for _, m := range mounts {
		if slices.ContainsFunc(pools, func(p pool) bool { return p.owns(m.Mountpoint) }) {
			continue // whatever that is, no target can be there
		}
		volume, p, ok := shownBy(m, pools)
		if !ok {
			if volume, ok = t.blockVolume(m, pools); !ok {
				continue
			}
		}
		group := peerGroup(m)
		if group != "" && group != p.group {
			if seen[copies{volume, group}] {
				continue
			}
			seen[copies{volume, group}] = true
		}
		all = append(all, mounted{Published{volume, m.Mountpoint}, m.ID})
	}
	return all
}

// shownBy tells which volume of which pool a mount shows.
func shownBy(m *mountinfo.Info, pools []pool) (volume string, _ pool, ok bool) {
	for _, p := range pools {
		if volume, ok = p.volume(m); ok {
			return volume, p, true
		}
	}
	return "", pool{}, false
}

// volume tells which of the pool's volumes a mount shows, if it shows all of one.
// A volume that was deleted while it was published, which takes force, is
// recognized in the trash, and when the trash is emptied.
func (p pool) volume(m *mountinfo.Info) (id string, ok bool) {
	if m.Major != p.major || m.Minor != p.minor {
		return "", false
	}
	path, ok := strings.CutPrefix(m.Root, p.root+"/")
	if !ok {
		return "", false
	}
	path = strings.TrimSuffix(path, "//deleted")
	if claimed, ok := strings.CutPrefix(path, "claims/"); ok {
		return state.PathID(claimed)
	}
	if id, ok = strings.CutPrefix(path, "volumes/"); !ok {
		if id, ok = strings.CutPrefix(path, ".trash/"); !ok {
			return "", false
		}
		if i := strings.LastIndexByte(id, '.'); i >= 0 {
			id = id[:i] // ID.UID
		}
	}
	return id, state.ValidID(id)
}

// owns tells whether a path is one of those that the pool has in it. Other things
// may well be beneath the pool's directory.
func (p pool) owns(path string) bool {
	rest, ok := beneath(p.dir, path)
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(rest, "/")
	return first == "" || first[0] == '.' || first == "volumes" || first == "claims" || first == "images"
}

// peerGroup names the mounts that a mount shares what is mounted in it with; "" if
// it is private. A copy that only receives is named after its giver.
func peerGroup(m *mountinfo.Info) string {
	group := ""
	for field := range strings.FieldsSeq(m.Optional) {
		if id, ok := strings.CutPrefix(field, "master:"); ok {
			return id
		}
		if id, ok := strings.CutPrefix(field, "shared:"); ok {
			group = id
		}
	}
	return group
}
