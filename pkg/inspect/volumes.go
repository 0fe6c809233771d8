package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/mount"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Volume is a volume that lies in a pool.
type Volume struct {
	// Volume is the record that it carries. Spec.Pool is the name by which the pool was
	// looked at.
	state.Volume
	// Path is where the data lies, absolute.
	Path string
	// UsedBytes is nil if it could not be counted. AtLeast tells that the count ended
	// before it had seen everything.
	UsedBytes *int64
	AtLeast   bool
	// Targets are the paths at which the volume is published.
	Targets []string
	// Health lists what is seen to be wrong.
	Health []state.Health
}

// Orphan is something in a pool that no record speaks of, as far as the disk tells.
type Orphan struct {
	Pool string
	// Path is relative to the pool.
	Path string
	// Why tells what is wrong with its record.
	Why string
}

// Contents is what lies in a pool.
type Contents struct {
	Volumes   []Volume
	Snapshots []state.Snapshot
	Orphans   []Orphan
	Archived  []backend.Archived
	// Trash counts what waits for its removal.
	Trash int
}

// Options say how much is looked at.
type Options struct {
	// Count is how many inodes of a volume are counted at most, where the filesystem
	// does not know what the volume takes; 0: all, negative: none.
	Count int64
	// Only, if there are any, are the IDs of the volumes to be counted.
	Only []string
	// Counting is told of every volume before it is counted; it may be nil.
	Counting func(id string, n, of int)
}

func (d *disk) contents(ctx context.Context, name string, o Options) (c Contents, err error) {
	for _, dir := range []string{pool.VolumesDir, pool.ImagesDir, pool.BuildDir, pool.SnapshotsDir} {
		names, err := d.Names(dir)
		if err != nil {
			return c, fmt.Errorf("pool %s: %w", name, err)
		}
		for _, n := range names {
			d.entry(&c, name, dir, n)
		}
	}
	claimed, err := d.Claimed()
	if err != nil {
		return c, fmt.Errorf("pool %s: %w", name, err)
	}
	for _, path := range claimed {
		d.entry(&c, name, pool.ClaimsDir, path)
	}
	trash, err := d.Names(pool.TrashDir)
	if err != nil {
		return c, fmt.Errorf("pool %s: %w", name, err)
	}
	c.Trash = len(trash)
	if c.Archived, err = d.Archived(); err != nil {
		return c, fmt.Errorf("pool %s: %w", name, err)
	}
	published, err := mount.List(map[string]string{name: d.Path()})
	if err != nil {
		return c, err
	}
	for i := range c.Volumes {
		v := &c.Volumes[i]
		for _, p := range published {
			if p.VolumeID == v.ID {
				v.Targets = append(v.Targets, p.Target)
			}
		}
		if len(o.Only) > 0 && !slices.Contains(o.Only, v.ID) {
			continue
		}
		if o.Counting != nil {
			o.Counting(v.ID, i, len(c.Volumes))
		}
		if err := d.count(ctx, v, o.Count); err != nil {
			return c, err
		}
		v.judge()
	}
	slices.SortFunc(c.Volumes, func(a, b Volume) int { return cmp.Compare(a.ID, b.ID) })
	return c, nil
}

// entry sorts one entry of a directory of the pool.
func (d *disk) entry(c *Contents, name, dir, entry string) {
	path := dir + "/" + entry
	if dir == pool.SnapshotsDir {
		s, err := d.ReadSnapshotRecord(path)
		if err == nil && path != backend.SnapshotPath(s.ID) {
			err = fmt.Errorf("its record is of snapshot %s", s.ID)
		}
		if err != nil {
			c.Orphans = append(c.Orphans, Orphan{Pool: name, Path: path, Why: why(err)})
			return
		}
		s.Spec.Pool = name
		c.Snapshots = append(c.Snapshots, s)
		return
	}
	v, err := d.ReadRecord(path)
	building := dir == pool.BuildDir
	switch {
	case building && (err != nil || entry != backend.PassingName(v)):
		return // a leaving, or a snapshot's: the driver removes what nobody was answered for
	case errors.Is(err, unix.ENOENT): // removed meanwhile
		return
	case err == nil && !building && path != backend.PathOf(v):
		err = fmt.Errorf("its record is of volume %s", v.ID)
	}
	if err != nil {
		c.Orphans = append(c.Orphans, Orphan{Pool: name, Path: path, Why: why(err)})
		return
	}
	v.Spec.Pool = name
	v.Status.Phase = state.Ready // the record was written before that was known
	v.Status.Enforced = v.Spec.AccessType == state.BlockAccess || d.limited(v)
	if building {
		v.Status.Phase = state.Pending
	}
	c.Volumes = append(c.Volumes, Volume{Volume: v, Path: filepath.Join(d.Path(), path)})
}

// why tells what is wrong with the record of something whose path is told beside it.
func why(err error) string {
	switch {
	case errors.Is(err, unix.ELOOP):
		return "it is a symbolic link"
	case errors.Is(err, unix.EXDEV):
		return "another filesystem is mounted there"
	case errors.Is(err, unix.ENOTDIR):
		return "it is neither a directory nor a file"
	case state.ReasonOf(err) == state.NotFound:
		return "it carries no record"
	}
	return err.Error()
}

// count finds out what a volume takes.
func (d *disk) count(ctx context.Context, v *Volume, limit int64) error {
	bytes, ok, err := d.counted(v.Volume)
	if err == nil && !ok && limit >= 0 {
		var n pool.Count
		n, err = d.Count(ctx, v.Volume, limit)
		bytes, ok, v.AtLeast = n.Bytes, true, !n.Complete
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.Health = append(v.Health, state.Health{Type: state.Degraded, Reason: "NotCounted", Message: err.Error()})
	case ok:
		v.UsedBytes = &bytes
	}
	return nil
}

// judge tells what is wrong with a volume, as far as the disk shows it.
func (v *Volume) judge() {
	// A filesystem takes some room for itself, which is not held against the volume.
	allowed := v.Spec.CapacityBytes + v.Spec.CapacityBytes/64 + 2<<20
	if v.UsedBytes != nil && *v.UsedBytes > allowed {
		v.Health = append(v.Health, state.Health{Type: state.Degraded, Reason: "OverSize",
			Message: fmt.Sprintf("it takes %s and was promised %s: nothing holds it to its size here (hostpath-csi doctor tells why), and others may find the pool full",
				humanize.IBytes(uint64(*v.UsedBytes)), humanize.IBytes(uint64(max(0, v.Spec.CapacityBytes))))})
	}
	if i := slices.IndexFunc(v.Targets, func(target string) bool { return strings.HasSuffix(target, "//deleted") }); i >= 0 {
		v.Health = append(v.Health, state.Health{Type: state.Inaccessible, Reason: "TargetRemoved", Message: fmt.Sprintf("its target %s was removed while it was published there", state.Quote(v.Targets[i]))})
	}
}
