package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func newVolumesCommand(o *options) *cobra.Command {
	used := false
	cmd := &cobra.Command{
		Use:   "volumes",
		Short: "List the volumes of the cluster",
		Long: `List the volumes of the cluster, by their records. What each takes no record tells: with --used
the nodes are asked. They ask their filesystems; where those do not count for each volume, files
are counted up to a number, and a > says that there are more: see 'kubectl hostpath du'.

With --used, too: ` + onNodesHelp,
		Example: `  kubectl hostpath volumes --node worker-1 -o wide

  # With what each takes
  kubectl hostpath volumes --used`,
		Args: cobra.NoArgs,
		RunE: o.run(func(ctx context.Context, c *cluster, out io.Writer) error {
			all, err := c.volumes(ctx, o.selector())
			if err != nil {
				return err
			}
			list := show.Volumes{Volumes: []show.Volume{}}
			for i := range all {
				list.Volumes = append(list.Volumes, shownVolume(&all[i]))
			}
			var unseen error
			if used && len(all) > 0 {
				unseen = o.askUsed(ctx, list.Volumes)
			}
			return errors.Join(o.print(out, list, func(wide bool) show.Table { return list.Table(wide, clock()) }), unseen)
		}),
	}
	cmd.Flags().BoolVar(&used, "used", false, "ask the nodes what each volume takes, and where it is published")
	o.addDriverNamespace(cmd)
	o.addChoice(cmd)
	return cmd
}

// askUsed has the nodes tell what their volumes take, and where they are published. What some
// could not tell is an error, and the volumes there stay without.
func (o *options) askUsed(ctx context.Context, volumes []show.Volume) error {
	nodes, err := o.connectNodes()
	if err != nil {
		return err
	}
	type place struct{ node, pool, id string }
	known := map[place]*show.Volume{}
	for i, v := range volumes {
		known[place{v.Node, v.Pool, v.ID}] = &volumes[i]
	}
	_, unseen := ask(ctx, nodes, o.node, "volumes", func(node string, there show.Volumes) {
		for _, v := range there.Volumes {
			if shown := known[place{node, v.Pool, v.ID}]; shown != nil {
				shown.UsedBytes, shown.UsedAtLeast, shown.Targets = v.UsedBytes, v.UsedAtLeast, v.Targets
			}
		}
	})
	return unseen
}
