package client

import (
	"context"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// PageSize is how many volumes a page of a list holds.
const PageSize = 100

// Lister walks the list of volumes page by page, over and over.
type Lister struct {
	client *Client
	next   []string // by worker: where its next page begins
}

// List returns a walk for so many workers.
func (c *Client) List(workers int) *Lister {
	return &Lister{client: c, next: make([]string, workers)}
}

// Page reads the next page of worker w's walk and returns how many volumes are
// on it, and whether it was the last one.
func (l *Lister) Page(ctx context.Context, w int) (volumes int, last bool, err error) {
	resp, err := csi.NewControllerClient(l.client.conn(w)).ListVolumes(ctx, &csi.ListVolumesRequest{
		MaxEntries: PageSize, StartingToken: l.next[w],
	})
	if err != nil {
		return 0, false, describe(ctx, "ListVolumes", "", err)
	}
	volumes, last = len(resp.GetEntries()), resp.GetNextToken() == ""
	if volumes > PageSize || volumes < PageSize && !last {
		return volumes, last, fmt.Errorf("ListVolumes: a page of %d volumes, of %d that were asked for, and last: %v", volumes, PageSize, last)
	}
	l.next[w] = resp.GetNextToken()
	return volumes, last, nil
}

// Count counts the volumes there are by listing them all.
func (c *Client) Count(ctx context.Context) (int, error) {
	walk := c.List(1)
	for sum := 0; ; {
		n, last, err := walk.Page(ctx, 0)
		if err != nil {
			return 0, err
		}
		sum += n
		if last {
			return sum, nil
		}
	}
}
