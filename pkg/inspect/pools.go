package inspect

import (
	"context"
	"errors"
	"fmt"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// Pool is a pool as it is on its disk.
type Pool struct {
	state.PoolStatus
	Contents
	// Store is the UUID of the store that the pool's volumes are recorded in.
	Store string
	// Err is why it cannot be looked at; PoolStatus.Health says so, too.
	Err error
}

// Look looks at the pool of that name at path. That it cannot be looked at is told in
// what it returns; an error is ctx's.
func Look(ctx context.Context, name, path string, o Options) (p Pool, err error) {
	p.Name, p.Path = name, path
	defer func() {
		if p.Err != nil {
			p.Health = []state.Health{{Type: state.Inaccessible, Reason: "NotReadable", Message: p.Err.Error()}}
		}
	}()
	d, err := open(path)
	if err != nil {
		p.Err = err
		return p, nil
	}
	defer func() { p.Err = errors.Join(p.Err, d.close()) }()
	p.UUID, p.Store = d.Marker().UUID, d.Marker().Store
	p.Filesystem, p.EnforcesLimits = d.features.Filesystem, d.features.EnforcesLimits
	if p.Usage, p.Err = d.Statfs(); p.Err != nil {
		return p, nil
	}
	p.Contents, p.Err = d.contents(ctx, name, o)
	if ctx.Err() != nil {
		return p, fmt.Errorf("looking at pool %s: %w", name, ctx.Err())
	}
	for _, v := range p.Volumes {
		p.AllocatedBytes += max(0, v.Spec.CapacityBytes) // whatever a record says
	}
	p.PoolStatus.Orphans = len(p.Contents.Orphans)
	return p, nil
}
