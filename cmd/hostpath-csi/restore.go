package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/inspect"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// restoreOptions are the flags of archive restore.
type restoreOptions struct {
	machineOptions
	endpoint, name, claim string
	keep                  bool
}

func newArchiveRestoreCommand() *cobra.Command {
	o := restoreOptions{machineOptions: newMachineOptions()}
	cmd := &cobra.Command{
		Use:   "restore NAME",
		Short: "Make a deleted volume that is kept a volume again",
		Long: `Make a deleted volume that is kept a volume again, with its contents, size and name. It is
renamed out of the archive to its place: nothing is copied, and the archive has it no more. With
--keep it is copied, and the archive keeps its own: that takes room for both. With -o yaml, the
PersistentVolume is printed, to be given to kubectl apply -f -.

The running driver does it, and is asked at --endpoint, where only root may ask. Until it has
answered, the archive has what it had. Asked again, it goes on.

Where records are in Kubernetes: kubectl hostpath archive restore.`,
		Example: `  hostpath-csi archive restore shop_data-db-0.2026-03-01.6f1e2d1c --claim shop/data-db-0 -o yaml \
    --pool default=/var/lib/hostpath-csi/pool`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd, names[0]) },
	}
	o.addFlags(cmd)
	addEndpointFlag(cmd, &o.endpoint)
	cmd.Flags().StringVar(&o.name, "name", "", "the volume's name (default: that which it had)")
	cmd.Flags().StringVar(&o.claim, "claim", "", "claim that the PersistentVolume is for, as NAMESPACE/NAME")
	cmd.Flags().BoolVar(&o.keep, "keep", false, "copy it, and keep it in the archive, too")
	cmd.ValidArgsFunction = o.completeArchive
	return cmd
}

func (o *restoreOptions) run(cmd *cobra.Command, entry string) error {
	claim, err := parseClaim(o.claim)
	if err != nil {
		return err
	}
	where, was, err := o.find(contextOf(cmd), entry)
	if err != nil {
		return err
	}
	header, what := driver.AdoptHeader, pool.ArchivedPath(entry)
	if o.keep {
		header, what = driver.CopyArchivedHeader, entry
	}
	v, err := createVolume(contextOf(cmd), o.endpoint, header, what, o.request(where, was, claim), "kubectl hostpath archive restore")
	if err != nil {
		return fmt.Errorf("restoring %s: %w", show.Name(entry), err)
	}
	out := cmd.OutOrStdout()
	if o.output == show.AsJSON || o.output == show.AsYAML {
		node := v.GetAccessibleTopology()[0].GetSegments()[driver.TopologyKey]
		return o.print(out, show.PersistentVolumeOf(driver.Name, driver.TopologyKey, v.GetVolumeId(), node, v.GetCapacityBytes(), was.Spec.AccessType, claim), nil)
	}
	there := state.Volume{Meta: state.Meta{ID: v.GetVolumeId()}, Spec: state.VolumeSpec{AccessType: was.Spec.AccessType}}
	_, err = fmt.Fprintf(out, "%s is volume %s of pool %s, %s, at %s\n", show.Name(entry), show.Name(there.ID), show.Name(where.Name),
		humanize.IBytes(uint64(v.GetCapacityBytes())), show.Name(filepath.Join(where.Path, backend.PathOf(there))))
	if err == nil && o.keep {
		_, err = fmt.Fprintf(out, "The archive keeps its own: hostpath-csi archive purge %s\n", show.Name(entry))
	}
	return err
}

// find returns the record of what has a name in the archive, and its pool. It may have come back
// before, to be asked for again; then that is the record of the volume that it is.
func (o *restoreOptions) find(ctx context.Context, entry string) (where agent.PoolOptions, was state.Volume, err error) {
	where, kept, err := o.inArchive(entry)
	switch {
	case err == nil && kept.Volume == nil:
		return where, was, fmt.Errorf("%s carries no record of a volume: copy what you need from it, at %s", show.Name(entry), show.Name(filepath.Join(where.Path, pool.ArchivedPath(entry))))
	case err == nil:
		return where, *kept.Volume, nil
	case !errors.As(err, new(*notArchived)) || o.keep:
		return where, was, err
	}
	chosen, cerr := o.choose()
	if cerr != nil {
		return where, was, cerr
	}
	for _, c := range chosen {
		p, lerr := inspect.Look(ctx, c.Name, c.Path, inspect.Options{Count: -1})
		if lerr != nil {
			return where, was, lerr
		}
		for _, v := range p.Volumes {
			if v.Spec.Adopt == pool.ArchivedPath(entry) {
				return c, v.Volume, nil
			}
		}
	}
	return where, was, err
}

// request asks for the volume that something was. It lies where its ID says, whatever it did.
func (o *restoreOptions) request(where agent.PoolOptions, was state.Volume, claim *state.Claim) *csi.CreateVolumeRequest {
	spec := was.Spec
	capability := &csi.VolumeCapability{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
		AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}
	parameters := map[string]string{"pool": where.Name, "pathTemplate": "", "mode": strconv.FormatUint(uint64(spec.Mode), 8),
		"uid": strconv.Itoa(spec.UserID), "gid": strconv.Itoa(spec.GroupID), "onDelete": string(cmp.Or(spec.OnDelete, state.OnDeleteRemove))}
	if spec.AccessType == state.BlockAccess {
		capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
		parameters["provisioning"] = string(cmp.Or(spec.Provisioning, state.Thick))
	}
	if c := cmp.Or(claim, spec.Claim); c != nil {
		parameters["csi.storage.k8s.io/pvc/namespace"], parameters["csi.storage.k8s.io/pvc/name"] = c.Namespace, c.Name
	}
	return &csi.CreateVolumeRequest{Name: cmp.Or(o.name, spec.Name), CapacityRange: &csi.CapacityRange{RequiredBytes: spec.CapacityBytes, LimitBytes: spec.CapacityBytes},
		VolumeCapabilities: []*csi.VolumeCapability{capability}, Parameters: parameters}
}
