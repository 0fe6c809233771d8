package main

import (
	"cmp"
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

// configOptions are the flags about the configuration file.
type configOptions struct {
	file string
}

func (o *configOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.file, "config", "", "configuration file, followed while it changes: pools, defaults of parameters, verbosity; see 'hostpath-csi config default'")
}

// choosePools returns the pools of --pool flags, or those that the configuration file
// has for a node with these labels.
func (o *configOptions) choosePools(flags []string, nodeLabels func() map[string]string, log *logOptions) ([]agent.PoolOptions, *liveConfig, error) {
	switch {
	case o.file == "":
		pools, err := parsePools(flags)
		return pools, nil, err
	case len(flags) > 0:
		return nil, nil, errors.New("--pool and --config are both given; it takes one of them")
	}
	live, err := openConfig(o.file, nodeLabels, log)
	if err != nil {
		return nil, nil, err
	}
	pools, err := live.pools()
	return pools, live, err
}

// liveConfig is the configuration file, which may change while the driver runs.
type liveConfig struct {
	*config.Live
	// nodeLabels are those of this node, now; nil where no pool is used: the controller's.
	nodeLabels func() map[string]string
	log        *logOptions
	// tell is told what is wrong with the configuration whenever that has been looked at;
	// nil: nothing is.
	tell func(wrong error)
}

// openConfig reads the file.
func openConfig(file string, nodeLabels func() map[string]string, log *logOptions) (*liveConfig, error) {
	if !filepath.IsAbs(file) {
		return nil, fmt.Errorf("--config is %q; it takes an absolute path", file)
	}
	l := &liveConfig{nodeLabels: nodeLabels, log: log, tell: func(error) {}}
	var err error
	l.Live, err = config.Open(file, l.check)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return l, l.applyLog()
}

// check refuses what is wrong on this node.
func (l *liveConfig) check(c *config.Configuration) error {
	if l.nodeLabels == nil {
		return nil
	}
	pools, err := c.On(l.nodeLabels())
	if err != nil {
		return err
	}
	return c.CheckPaths(pools)
}

// pools returns this node's pools, as the agent takes them. A file that was right for
// this node may not be for the labels that it has now.
func (l *liveConfig) pools() ([]agent.PoolOptions, error) {
	chosen, err := l.Current().On(l.nodeLabels())
	if err != nil {
		return nil, err
	}
	return poolOptions(chosen), nil
}

// configure gives the agent the pools that there are now; where they are wrong, it
// keeps those it has.
func (l *liveConfig) configure(ctx context.Context, a *agent.Agent) {
	pools, err := l.pools()
	if err != nil {
		klog.ErrorS(err, "The pools of the configuration are wrong for this node; the last good ones stay in force", "labels", l.nodeLabels())
	} else {
		a.Configure(ctx, pools)
	}
	l.tell(cmp.Or(l.Err(), err))
}

// defaults are those of parameters, now.
func (l *liveConfig) defaults() config.Parameters { return l.Current().Defaults }

func (l *liveConfig) applyLog() error { return l.log.follow(l.Current().Log) }

// follow puts each change of the file in force until stop is called or ctx ends: so it
// calls changed. What is wrong with another one, it tells.
func (l *liveConfig) follow(ctx context.Context, changed func()) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() {
		err := l.Run(ctx, func(*config.Configuration) {
			if err := l.applyLog(); err != nil {
				klog.ErrorS(err, "The log stays as it was")
			}
			changed()
		}, func(wrong error) { l.tell(wrong) })
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
