package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/agent"
	"github.com/hostpath-csi/hostpath-csi/pkg/config"
)

// configOptions are the flags about the configuration file, of every role that has
// volumes on its machine.
type configOptions struct {
	file       string
	nodeLabels string
}

func (o *configOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "config", "", "configuration file, followed while it changes: pools, defaults of parameters, verbosity; see 'hostpath-csi config default'")
	flags.StringVar(&o.nodeLabels, "node-labels", "", "labels of this node, as NAME=VALUE,..., by which the pools of --config are chosen")
}

// choosePools returns the pools of --pool flags, or those of the configuration file.
func (o *configOptions) choosePools(flags []string, log *logOptions) ([]agent.PoolOptions, *liveConfig, error) {
	switch {
	case o.file == "" && o.nodeLabels != "":
		return nil, nil, errors.New("--node-labels is given without --config, whose pools it chooses")
	case o.file == "":
		pools, err := parsePools(flags)
		return pools, nil, err
	case len(flags) > 0:
		return nil, nil, errors.New("--pool and --config are both given; it takes one of them")
	}
	nodeLabels, err := parseNodeLabels(o.nodeLabels)
	if err != nil {
		return nil, nil, err
	}
	live, err := openConfig(o.file, nodeLabels, log)
	if err != nil {
		return nil, nil, err
	}
	return live.pools(), live, nil
}

// liveConfig is the configuration file of a node, which may change while it runs.
type liveConfig struct {
	*config.Live
	nodeLabels map[string]string
	log        *logOptions
}

// openConfig reads the file for a node with these labels.
func openConfig(file string, nodeLabels map[string]string, log *logOptions) (*liveConfig, error) {
	if !filepath.IsAbs(file) {
		return nil, fmt.Errorf("--config is %q; it takes an absolute path", file)
	}
	l := &liveConfig{nodeLabels: nodeLabels, log: log}
	var err error
	l.Live, err = config.Open(file, l.check)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return l, l.applyLog()
}

// check refuses what is wrong on this node.
func (l *liveConfig) check(c *config.Configuration) error {
	pools, err := c.On(l.nodeLabels)
	if err != nil {
		return err
	}
	return c.CheckPaths(pools)
}

// pools returns this node's pools, as the agent takes them.
func (l *liveConfig) pools() []agent.PoolOptions {
	chosen, _ := l.Current().On(l.nodeLabels) // check has found it right
	all := make([]agent.PoolOptions, len(chosen))
	for i, p := range chosen {
		all[i] = agent.PoolOptions{Name: p.Name, Path: p.Path, Labels: p.Labels, Cordoned: p.Cordoned, RequireMountPoint: p.RequireMountPoint,
			ReserveBytes: p.Reserve.Bytes, ReservePercent: p.Reserve.Percent, Overcommit: p.Overcommit}
	}
	return all
}

// defaults are those of parameters, now.
func (l *liveConfig) defaults() config.Parameters { return l.Current().Defaults }

func (l *liveConfig) applyLog() error {
	if v := l.Current().Log.Verbosity; v != nil {
		return l.log.setVerbosity(*v)
	}
	return l.log.setVerbosity(l.log.verbosity)
}

// follow puts each change of the file in force until stop is called or ctx ends.
func (l *liveConfig) follow(ctx context.Context, a *agent.Agent) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() {
		err := l.Run(ctx, func(*config.Configuration) {
			if err := l.applyLog(); err != nil {
				klog.ErrorS(err, "The log's verbosity stays as it was")
			}
			a.Configure(ctx, l.pools())
		})
		if err != nil {
			klog.ErrorS(err, "The configuration file cannot be followed; changes take a restart")
		}
	})
	return func() {
		cancel()
		follower.Wait()
	}
}

// detail is what /readyz tells of the configuration.
func (l *liveConfig) detail() string {
	if err := l.Err(); err != nil {
		return "the configuration file is wrong; the last good one is in force:\n" + err.Error() + "\n"
	}
	return ""
}
