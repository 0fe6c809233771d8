package crash

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

// belief is what a CO can know of something: it was answered, or it was asked for
// and the driver died.
type belief string

const (
	yes   belief = "yes"
	no    belief = "no"
	maybe belief = "maybe"
)

// volume is what a CO knows of one volume.
type volume struct {
	name      string
	exists    belief
	bytes     []int64 // the capacities that it may have
	data      string  // what was written into it; "": it is empty
	target    string
	published belief
	cut       string // the operation that was not answered
	block     bool   // it is a block volume
	named     bool   // it is named after its claim
	onDelete  string // the parameter; "": not given
	kept      kept   // what its last life left in the archive
	// from is what it begins as a copy of, and first what it holds then.
	from  *csi.VolumeContentSource
	first string
}

// begins has the volume begin as a copy that holds data.
func (v *volume) begins(from *csi.VolumeContentSource, data string) { v.from, v.first = from, data }

func newVolume(name, target string) *volume {
	return &volume{name: name, exists: no, target: target, published: no}
}

const (
	firstSize  = 1 << 20
	expandBy   = 1 << 20
	extraFiles = 20 // beside the one with the data, so that a removal takes steps
)

// operations are what may be asked of a volume; each may be asked for again.
var operations = map[string]func(v *volume, d *process.Driver) error{
	"create": func(v *volume, d *process.Driver) error {
		if v.exists == no {
			v.bytes, v.data = []int64{firstSize}, v.first
		}
		v.exists = maybe
		create := func(name string, bytes int64) (string, error) { return d.CreateWith(name, bytes, v.parameters()) }
		if v.block {
			create = func(name string, bytes int64) (string, error) { return d.CreateBlockWith(name, bytes, v.parameters()) }
		}
		if v.from != nil {
			create = func(name string, bytes int64) (string, error) { return d.Copy(name, bytes, v.block, v.from) }
		}
		id, err := create(v.name, firstSize)
		if err != nil {
			return err
		}
		if id != v.name {
			return fmt.Errorf("volume %s has the ID %s", v.name, id)
		}
		v.exists = yes
		return nil
	},
	"publish": func(v *volume, d *process.Driver) error {
		v.published = maybe
		publish := d.Publish
		if v.block {
			publish = d.PublishBlock
		}
		if err := publish(v.name, v.target); err != nil {
			return err
		}
		v.published = yes
		return nil
	},
	"write": func(v *volume, _ *process.Driver) error {
		v.data += "written. "
		if v.block {
			return fillDevice(v.target, v.data)
		}
		return fill(v.target, v.data)
	},
	"expand": func(v *volume, d *process.Driver) error {
		more := v.bytes[len(v.bytes)-1]
		if len(v.bytes) == 1 {
			more += expandBy
			v.bytes = append(v.bytes, more)
		}
		if err := d.Expand(v.name, more); err != nil {
			return err
		}
		v.bytes = []int64{more}
		return nil
	},
	"unpublish": func(v *volume, d *process.Driver) error {
		v.published = maybe
		if err := d.UnpublishOnceFree(v.name, v.target); err != nil {
			return err
		}
		v.published = no
		if _, err := os.Lstat(v.target); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("target %s is there after unpublish: %v", v.target, err)
		}
		return nil
	},
	"delete": func(v *volume, d *process.Driver) error {
		v.exists = maybe
		if v.onDelete == "archive" && len(v.bytes) > 0 {
			v.kept = kept{bytes: v.bytes[0], data: v.data}
		}
		if err := d.Delete(v.name); err != nil {
			return err
		}
		v.exists, v.data, v.bytes = no, "", nil
		return nil
	},
	"restore": (*volume).restore,
}

func (v *volume) parameters() map[string]string {
	given := map[string]string{}
	if v.onDelete != "" {
		given["onDelete"] = v.onDelete
	}
	if v.named {
		given["pathTemplate"] = "{{ .PVC.Namespace }}/{{ .PVC.Name }}-{{ .VolumeID }}"
		given["csi.storage.k8s.io/pvc/namespace"], given["csi.storage.k8s.io/pvc/name"] = "shop-"+v.name, "data"
	}
	return given
}

// do asks for an operation and notes what can be known afterwards.
func (v *volume) do(d *process.Driver, operation string) error {
	v.cut = operation
	err := operations[operation](v, d)
	if err != nil {
		return fmt.Errorf("%s volume %s: %w", operation, v.name, err)
	}
	v.cut = ""
	return nil
}

// next lists the operations that make sense now.
func (v *volume) next() []string {
	switch {
	case v.published == maybe: // its target may be there, even if it is not mounted
		return []string{"unpublish"}
	case v.exists != yes:
		return []string{"create"}
	case v.published == yes:
		return []string{"write", "write", "expand", "publish", "unpublish", "unpublish"}
	}
	return []string{"publish", "publish", "expand", "create", "delete"}
}

// fill writes data into a volume, as an application does that wants it to last.
func fill(dir, data string) error {
	if err := writeSynced(filepath.Join(dir, "data"), data); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "more"), 0o755); err != nil {
		return err
	}
	for i := range extraFiles {
		if err := os.WriteFile(filepath.Join(dir, "more", fmt.Sprint(i)), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeSynced(path, data string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// holds returns an error unless the directory holds what fill wrote: exactly that.
func holds(dir, data string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if data == "" {
		if len(entries) > 0 {
			return fmt.Errorf("%s is to be empty, and holds %v", dir, entries)
		}
		return nil
	}
	found, err := os.ReadFile(filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	if string(found) != data {
		return fmt.Errorf("%s/data is to hold %q, and holds %q", dir, data, found)
	}
	if len(entries) > 2 {
		return fmt.Errorf("%s holds more than was written: %v", dir, entries)
	}
	return nil
}

// look compares the volume with what the driver and the disk say of it, and takes
// over what they say where it could not be known.
func (v *volume) look(d *process.Driver, listed map[string]int64, mounts []string) error {
	v.cut = ""
	bytes, there := listed[v.name]
	switch {
	case v.exists == yes && !there:
		return fmt.Errorf("volume %s was promised and is not listed", v.name)
	case v.exists == no && there:
		return fmt.Errorf("volume %s was deleted, or never asked for, and is listed", v.name)
	case !there:
		v.exists, v.bytes, v.data = no, nil, ""
		return v.lookAtTarget(d, mounts)
	}
	v.exists = yes
	if !slices.Contains(v.bytes, bytes) {
		return fmt.Errorf("volume %s has %d bytes; it may have %v", v.name, bytes, v.bytes)
	}
	v.bytes = []int64{bytes}
	health, err := d.Health(v.name)
	if err != nil {
		return err
	}
	if len(health) > 0 {
		return fmt.Errorf("volume %s is not well: %v", v.name, health)
	}
	if v.block {
		err = holdsData(v.place(d), v.data)
	} else {
		err = holds(v.place(d), v.data)
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.name, err)
	}
	return v.lookAtTarget(d, mounts)
}

func (v *volume) lookAtTarget(d *process.Driver, mounts []string) error {
	count := 0
	for _, m := range mounts {
		if m == v.target {
			count++
		}
	}
	st, err := os.Lstat(v.target)
	switch {
	case count > 1:
		return fmt.Errorf("there are %d mounts at %s", count, v.target)
	case v.published == yes && count == 0:
		return fmt.Errorf("volume %s was published at %s and is not mounted", v.name, v.target)
	case v.published == no && count > 0:
		return fmt.Errorf("volume %s is mounted at %s, and was unpublished or never published", v.name, v.target)
	case v.published == no && !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("target %s is there: %v", v.target, err)
	case count == 0 && err == nil:
		// All that may be left of a call that was cut is an empty directory (or
		// file), which goes when the call, or an unpublish, comes again.
		if v.block && st.Mode().IsRegular() && st.Size() == 0 {
			return nil
		}
		return holds(v.target, "")
	case count == 0:
		v.published = no
		return nil
	}
	v.published = yes
	if v.exists != yes {
		return fmt.Errorf("volume %s is mounted at %s, and is not listed", v.name, v.target)
	}
	if v.block {
		if err := v.lookAtDevice(d); err != nil {
			return err
		}
		return stats(d, v.name, v.target)
	}
	of, err := os.Stat(v.place(d))
	if err != nil {
		return err
	}
	if !os.SameFile(st, of) {
		return fmt.Errorf("what is mounted at %s is not volume %s", v.target, v.name)
	}
	return stats(d, v.name, v.target)
}

// targetsOf returns the targets at which volumes are published.
func targetsOf(volumes []*volume) map[string]bool {
	all := map[string]bool{}
	for _, v := range volumes {
		if v.published == yes {
			all[v.target] = true
		}
	}
	return all
}

func sum(volumes []*volume) (bytes int64) {
	for _, v := range volumes {
		if v.exists == yes {
			bytes += v.bytes[0]
		}
	}
	return bytes
}

// namesOf returns the names of the volumes of one kind that there are, but of those that are
// named after their claims.
func namesOf(volumes []*volume, block bool) []string {
	names := map[string]bool{}
	for _, v := range volumes {
		if v.exists == yes && v.block == block && !v.named {
			names[v.name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
