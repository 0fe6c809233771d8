package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostpath-csi/hostpath-csi/pkg/show"
)

func newDoctorCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor NODE",
		Short: "Check whether a node is ready, with the command that mends what is not",
		Long: `Check a node and its pools, as the driver there sees them, and name the command that mends
what is wrong. Exits with 1 if anything FAILs.

` + onNodesHelp,
		Example: "  kubectl hostpath doctor worker-1",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, given []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(given) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.completeNodes(cmd, given, begun)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			nodes, err := o.connectNodes()
			if err != nil {
				return err
			}
			pods, _, err := nodes.list(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			how := []string{"-o", o.output.String()}
			if dir, ok := strings.CutSuffix(strings.TrimPrefix(pods[0].endpoint, "unix://"), "/plugins/hostpath-csi.dev/csi.sock"); ok {
				how = append(how, "--kubelet-dir", dir)
			}
			found, failed := nodes.run(cmd.Context(), pods[0], "doctor", how...)
			_, err = cmd.OutOrStdout().Write(found)
			return errors.Join(err, failed)
		},
	}
	o.addDriverNamespace(cmd)
	return cmd
}

func newDuCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "du",
		Short: "Count what the volumes on the nodes take, the largest first",
		Long: `Count what the volumes in the pools of the nodes take, the largest first. Where the
filesystem does not count for each volume, every file is counted, which takes its time.

` + onNodesHelp,
		Example: "  kubectl hostpath du --node worker-1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			nodes, err := o.connectNodes()
			if err != nil {
				return err
			}
			list := show.Use{Volumes: []show.Volume{}}
			asked, unseen := ask(cmd.Context(), nodes, o.node, "du", func(node string, there show.Use) {
				for _, v := range there.Volumes {
					if v.Node = node; o.pool == "" || o.pool == v.Pool {
						list.Volumes = append(list.Volumes, v)
					}
				}
			})
			if !asked {
				return unseen
			}
			list.Sort()
			return errors.Join(o.print(cmd.OutOrStdout(), list, func(bool) show.Table { return list.Table(true) }), unseen)
		},
	}
	o.addDriverNamespace(cmd)
	o.addChoice(cmd)
	return cmd
}
