package agent

import (
	"context"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// reporter writes the node's status: soon after something changed, but not for
// every change on its own.
type reporter struct {
	agent *Agent
	kick  chan struct{} // of capacity one
}

// reportPause is the least time between two reports.
const reportPause = 50 * time.Millisecond

// soon asks for a report.
func (r *reporter) soon() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

func (r *reporter) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		}
		if err := r.write(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Reporting the node's pools failed", "node", r.agent.o.NodeID)
		}
		pause.Reset(reportPause)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (r *reporter) write(ctx context.Context) error {
	pools := r.agent.poolStatuses(ctx)
	_, err := r.agent.o.Nodes.UpdateStatus(ctx, r.agent.o.NodeID, func(st *state.NodeStatus) error {
		st.Pools, st.ConfigError = pools, r.agent.configError()
		return nil
	})
	return err
}

// poolStatuses tells about every pool, in the order of their names.
func (a *Agent) poolStatuses(ctx context.Context) []state.PoolStatus {
	all := []state.PoolStatus{}
	for _, p := range a.pools.all() {
		all = append(all, p.status(ctx))
	}
	return all
}

// maxConfigError bounds what a node's status says of a wrong configuration: a long file
// may be wrong in many ways.
const maxConfigError = 4096

// SetConfigError has the node's status say what is wrong with the configuration, of which
// the last good one stays in force; nil: nothing is.
func (a *Agent) SetConfigError(wrong error) {
	var said string
	if wrong != nil {
		said = wrong.Error()
		if len(said) > maxConfigError {
			said = strings.ToValidUTF8(said[:maxConfigError], "") + " ..."
		}
	}
	a.configWrong.Store(&said)
	a.report.soon()
}

func (a *Agent) configError() string {
	if said := a.configWrong.Load(); said != nil {
		return *said
	}
	return ""
}
