package agent

import (
	"context"
	"os"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Open returns the volume's directory, for the node service to mount. The caller
// closes it. NotReady while the pool cannot be used, Lost if the data is gone.
func (a *Agent) Open(v state.Volume) (*os.File, error) {
	_, b, err := a.usablePool(v.Spec.Pool)
	if err != nil {
		return nil, err
	}
	return b.Open(v)
}

// Usage counts the bytes and inodes of the volume itself.
func (a *Agent) Usage(ctx context.Context, v state.Volume) (state.Usage, error) {
	_, b, err := a.usablePool(v.Spec.Pool)
	if err != nil {
		return state.Usage{}, err
	}
	return b.Usage(ctx, v)
}

// Pools tells how the node's pools are, now.
func (a *Agent) Pools(ctx context.Context) []state.PoolStatus { return a.poolStatuses(ctx) }
