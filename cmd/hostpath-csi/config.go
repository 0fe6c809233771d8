package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration file, or print one to begin with",
	}
	cmd.AddCommand(newConfigCheckCommand(), newConfigDefaultCommand())
	return cmd
}

func newConfigDefaultCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "default",
		Short:   "Print a configuration file to begin with, every key explained",
		Example: "  hostpath-csi config default > config.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Default())
			return err
		},
	}
}

type configCheckOptions struct {
	nodeLabels string
	thisNode   bool
}

func newConfigCheckCommand() *cobra.Command {
	var o configCheckOptions
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file",
		Long: `Check a configuration file as the driver does before it takes it: the contents of the
ConfigMap's key, not the ConfigMap. FILE may be - for standard input.

Exits with 0 if the file is right. Otherwise prints every problem, each on a line as
FILE:LINE:COLUMN: KEY: PROBLEM, and exits with 1.`,
		Example: `  hostpath-csi config check config.yaml

  # Straight from a cluster
  kubectl -n hostpath-csi get configmap hostpath-csi -o jsonpath='{.data.config\.yaml}' | hostpath-csi config check -

  # The pools of a node with these labels, and whether their paths are right on this machine
  hostpath-csi config check config.yaml --node-labels disk=ssd --this-node`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(args[0], cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.nodeLabels, "node-labels", "", "labels of a node, as NAME=VALUE,...: check its pools together, and list them")
	cmd.Flags().BoolVar(&o.thisNode, "this-node", false, "check the paths of the pools on this machine, too")
	return cmd
}

func (o *configCheckOptions) run(file string, in io.Reader, out io.Writer) error {
	c, err := readConfig(file, in)
	if err != nil {
		return err
	}
	pools := c.Pools
	if o.nodeLabels != "" {
		nodeLabels, err := parseNodeLabels(o.nodeLabels)
		if err != nil {
			return err
		}
		if pools, err = c.On(nodeLabels); err != nil {
			return err
		}
	}
	if o.thisNode {
		if err := c.CheckPaths(pools); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s is right; pools:\n", file)
	for _, p := range pools {
		nodes := p.Nodes.String()
		if p.Nodes.Empty() {
			nodes = "all nodes"
		}
		fmt.Fprintf(out, "  %s at %s (%s)\n", p.Name, p.Path, nodes)
	}
	return nil
}

// readConfig reads a file, or in if it is called "-".
func readConfig(file string, in io.Reader) (*config.Configuration, error) {
	if file == "-" {
		return config.Parse("standard input", in)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return config.Parse(file, f)
}

// parseNodeLabels reads --node-labels NAME=VALUE,...
func parseNodeLabels(given string) (map[string]string, error) {
	if given == "" {
		return nil, nil
	}
	all, err := labels.ConvertSelectorToLabelsMap(given)
	if err != nil {
		return nil, fmt.Errorf("--node-labels is %q; it takes NAME=VALUE,..., as Kubernetes has labels: %w", given, err)
	}
	return all, nil
}
