package mount

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/hostpath-csi/hostpath-csi/pkg/loop"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Published is one publish: a volume at a target path.
type Published struct {
	VolumeID string
	// Target is the path by which the kernel lists it: that of the request, with
	// the symbolic links of a trusted root resolved.
	Target string
}

// Table is the publishes of this node. Make one with Load.
type Table struct {
	kernel  kernel
	loops   loop.Loop
	trusted []trustedRoot

	// One call at a time works on a volume, and on a target. The volume is taken
	// first, and only then the target, so nobody waits in a circle.
	volumes, targets keyLock

	mu        sync.Mutex // guards what follows; never held while the kernel is asked
	pools     map[string]pool
	publishes map[string]map[string]publish // by volume ID and target
	retired   map[string]bool
}

// publish is what is known of a mount of a volume at a target.
type publish struct {
	id        identity // of the mount's root; zero: it could not be seen
	exclusive bool     // it was asked for as the only one
}

// Published lists the targets at which a volume is published, sorted. A target
// whose mount somebody else has removed is listed until it is noticed.
func (t *Table) Published(volumeID string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(maps.Keys(t.publishes[volumeID]))
}

// All lists every publish, sorted by volume and target, for diagnostics.
func (t *Table) All() []Published {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Published
	for volume, at := range t.publishes {
		for target := range at {
			all = append(all, Published{volume, target})
		}
	}
	slices.SortFunc(all, func(a, b Published) int {
		return cmp.Or(cmp.Compare(a.VolumeID, b.VolumeID), cmp.Compare(a.Target, b.Target))
	})
	return all
}

// Len counts the publishes.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, at := range t.publishes {
		n += len(at)
	}
	return n
}

// IsPublishedAt asks the kernel, with a handful of system calls, whether what is at
// the target is the volume. The source may be nil; the volume is then known by its
// publishes alone.
func (t *Table) IsPublishedAt(volumeID, target string, source *os.File) (bool, error) {
	at, err := t.canonical(target)
	if err != nil {
		return false, err
	}
	known, err := t.identities(volumeID, source)
	if err != nil {
		return false, err
	}
	p, err := t.kernel.open(at, nothing)
	if err != nil {
		if nowhere(err) {
			return false, nil
		}
		return false, targetError(target, err)
	}
	defer p.close()
	f, err := p.look()
	if err != nil {
		return false, targetError(target, err)
	}
	return f.mounted && known[f.id], nil
}

// exclude keeps others from working on the volume or the target.
func (t *Table) exclude(ctx context.Context, volumeID, at string) (release func(), err error) {
	volume, err := t.volumes.take(ctx, "volume", volumeID)
	if err != nil {
		return nil, err
	}
	target, err := t.targets.take(ctx, "target_path", at)
	if err != nil {
		volume()
		return nil, err
	}
	return func() { target(); volume() }, nil
}

// live returns the publishes that a volume really has. Its caller holds the volume.
//
// Each publish that the table names is looked at. Where one is not seen, it may be
// gone, hidden beneath another mount, or moved along with its parent; then the
// kernel's list decides, and the table is corrected. That is rare: it takes someone
// else to mount or unmount.
func (t *Table) live(volumeID string) (map[string]publish, error) {
	known := t.known(volumeID)
	sure := true
	for at, p := range known {
		sure = sure && t.seen(at, p.id)
	}
	if sure {
		return known, nil
	}
	mounts, err := t.mounts()
	if err != nil {
		return nil, err
	}
	now := map[string]publish{}
	for _, p := range t.find(mounts) {
		if p.VolumeID == volumeID {
			now[p.Target] = publish{id: t.look(p.Target, p.mountID), exclusive: known[p.Target].exclusive}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.publishes[volumeID] = maps.Clone(now)
	if len(now) == 0 {
		delete(t.publishes, volumeID)
	}
	return now, nil
}

// seen tells whether id is mounted at a target, for all to see.
func (t *Table) seen(at string, id identity) bool {
	if id == (identity{}) {
		return false
	}
	p, err := t.kernel.open(at, nothing)
	if err != nil {
		return false
	}
	defer p.close()
	f, err := p.look()
	return err == nil && f.mounted && f.id == id
}

// look returns what is the root of a mount at a target; zero if that is not the
// topmost mount there, or cannot be seen.
func (t *Table) look(at string, mountID int) identity {
	p, err := t.kernel.open(at, nothing)
	if err != nil {
		return identity{}
	}
	defer p.close()
	if f, err := p.look(); err == nil && f.mounted && f.mountID == mountID {
		return f.id
	}
	return identity{}
}

// identities is what the volume's directory may look like. The kernel gives no
// identity to two volumes while one of them is mounted.
func (t *Table) identities(volumeID string, source *os.File) (map[identity]bool, error) {
	ids := map[identity]bool{}
	if source != nil {
		src, err := t.kernel.source(source)
		if err != nil {
			return nil, sourceError(volumeID, err)
		}
		ids[src.id] = true
	}
	for _, p := range t.known(volumeID) {
		if p.id != (identity{}) {
			ids[p.id] = true
		}
	}
	return ids, nil
}

// known copies what the table says about a volume.
func (t *Table) known(volumeID string) map[string]publish {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.publishes[volumeID])
}

// enter puts a publish into the table.
func (t *Table) enter(volumeID, at string, p publish) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.publishes[volumeID] == nil {
		t.publishes[volumeID] = map[string]publish{}
	}
	t.publishes[volumeID][at] = p
}

// forget takes a publish out of the table.
func (t *Table) forget(volumeID, at string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.publishes[volumeID], at)
	if len(t.publishes[volumeID]) == 0 {
		delete(t.publishes, volumeID)
	}
}

// occupant says whose publish is at a target, for messages.
func (t *Table) occupant(at string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for volume, targets := range t.publishes {
		if _, ok := targets[at]; ok {
			return "volume " + state.Quote(volume)
		}
	}
	return "a mount that is not of this driver"
}
