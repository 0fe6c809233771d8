package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/driver"
	"github.com/hostpath-csi/hostpath-csi/pkg/show"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// adoptOptions are the flags of adopt.
type adoptOptions struct {
	machineOptions
	endpoint, name, size, claim, onDelete string
}

func newAdoptCommand() *cobra.Command {
	o := adoptOptions{machineOptions: newMachineOptions()}
	cmd := &cobra.Command{
		Use:   "adopt DIRECTORY",
		Short: "Make a volume of a directory that is in a pool already",
		Long: `Make a volume of a directory that lies in a pool, with all that is in it. It gets a record and
a limit, and is renamed to its place in volumes/; nothing is copied, and its files stay whose they
are. With -o yaml, the PersistentVolume is printed, to be given to kubectl apply -f -.

The running driver does it, and is asked at --endpoint, where only root may ask: it refuses what
is a volume, what takes more than --size already, and a mount point or symbolic link. Until it has
answered, the directory stays where and what it is. Asked again, it goes on.

On btrfs, only a subvolume can be adopted. On XFS and ext4, all of its files become files of
the volume's project. What still writes there through the old path writes into the volume until it
closes its files.

Where records are in Kubernetes: kubectl hostpath adopt.`,
		Example: `  hostpath-csi adopt /var/lib/hostpath-csi/pool/legacy/db --name db --size 20Gi \
    --pool default=/var/lib/hostpath-csi/pool --claim shop/data-db-0 -o yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	o.addFlags(cmd)
	addEndpointFlag(cmd, &o.endpoint)
	cmd.Flags().StringVar(&o.name, "name", "", "the volume's name (required)")
	cmd.Flags().StringVar(&o.size, "size", "", "the volume's size, such as 20Gi; at least what it takes (required)")
	cmd.Flags().StringVar(&o.claim, "claim", "", "claim that the PersistentVolume is for, as NAMESPACE/NAME")
	cmd.Flags().StringVar(&o.onDelete, "on-delete", "", "what becomes of the contents when the volume is deleted: delete, archive or scrub (default: as the driver's configuration says)")
	return cmd
}

// parse reads what is asked for; where is the pool that the directory lies in.
func (o *adoptOptions) parse(directory string) (where agent.PoolOptions, within string, bytes int64, claim *state.Claim, err error) {
	size, err := resource.ParseQuantity(o.size)
	if err != nil || size.Value() <= 0 {
		return where, "", 0, nil, fmt.Errorf("--size is %s; it takes a size such as 20Gi", state.Quote(o.size))
	}
	if o.name == "" {
		return where, "", 0, nil, errors.New("--name is missing: it takes the volume's name, such as db")
	}
	if claim, err = parseClaim(o.claim); err != nil {
		return where, "", 0, nil, err
	}
	if !filepath.IsAbs(directory) {
		return where, "", 0, nil, fmt.Errorf("got %s; it takes the absolute path of a directory in a pool", state.Quote(directory))
	}
	pools, err := o.choose()
	if err != nil {
		return where, "", 0, nil, err
	}
	for _, p := range pools {
		if rest, ok := strings.CutPrefix(directory, p.Path+"/"); ok {
			return p, strings.TrimRight(rest, "/"), size.Value(), claim, nil
		}
	}
	return where, "", 0, nil, fmt.Errorf("%s lies in none of the pools: move it into one, on its filesystem", state.Quote(directory))
}

// parseClaim reads the flag --claim; nil: it is not given.
func parseClaim(flag string) (*state.Claim, error) {
	namespace, name, ok := strings.Cut(flag, "/")
	switch {
	case flag == "":
		return nil, nil
	case !ok || namespace == "" || name == "" || strings.Contains(name, "/"):
		return nil, fmt.Errorf("--claim is %s; it takes NAMESPACE/NAME", state.Quote(flag))
	}
	return &state.Claim{Namespace: namespace, Name: name}, nil
}

func (o *adoptOptions) run(cmd *cobra.Command, directory string) error {
	where, within, bytes, claim, err := o.parse(directory)
	if err != nil {
		return err
	}
	request := &csi.CreateVolumeRequest{Name: o.name, CapacityRange: &csi.CapacityRange{RequiredBytes: bytes},
		VolumeCapabilities: []*csi.VolumeCapability{{AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER}}},
		// It stays where its ID says, whatever the configuration has for new ones.
		Parameters: map[string]string{"pool": where.Name, "pathTemplate": ""}}
	if o.onDelete != "" {
		request.Parameters["onDelete"] = o.onDelete
	}
	if claim != nil {
		request.Parameters["csi.storage.k8s.io/pvc/namespace"], request.Parameters["csi.storage.k8s.io/pvc/name"] = claim.Namespace, claim.Name
	}
	v, err := createVolume(contextOf(cmd), o.endpoint, driver.AdoptHeader, within, request, "kubectl hostpath adopt")
	if err != nil {
		return fmt.Errorf("adopting %s: %w", state.Quote(directory), err)
	}
	out := cmd.OutOrStdout()
	if o.output == show.AsJSON || o.output == show.AsYAML {
		node := v.GetAccessibleTopology()[0].GetSegments()[driver.TopologyKey]
		return o.print(out, show.PersistentVolumeOf(driver.Name, driver.TopologyKey, v.GetVolumeId(), node, v.GetCapacityBytes(), state.MountAccess, claim), nil)
	}
	_, err = fmt.Fprintf(out, "%s is volume %s of pool %s, %s, at %s\n", state.Quote(directory), show.Name(v.GetVolumeId()), show.Name(where.Name),
		humanize.IBytes(uint64(v.GetCapacityBytes())), show.Name(filepath.Join(where.Path, "volumes", v.GetVolumeId())))
	return err
}
