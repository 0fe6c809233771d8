package agent

import (
	"errors"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/plain"
	"github.com/hostpath-csi/hostpath-csi/pkg/backend/pool"
)

// openBackend opens the pool at path with the backend that makes the most of its
// filesystem. A new filesystem is added here.
func openBackend(path string) (backend.Backend, error) {
	p, err := pool.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := plain.New(p)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return b, nil
}
