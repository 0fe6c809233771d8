package floor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
)

// request asks a worker for one phase: the operation on Names, which repeat until
// Count operations are done.
type request struct {
	Operation Operation `json:"operation"`
	Names     []string  `json:"names"`
	Count     int       `json:"count"`
	InFlight  int       `json:"inFlight"`
}

// response is what a phase took, or why it failed.
type response struct {
	Sample load.Sample `json:"sample"`
	Error  string      `json:"error,omitempty"`
}

// Serve works in dir: it answers requests until in ends.
func Serve(ctx context.Context, dir string, in io.Reader, out io.Writer) error {
	t, err := newTree(dir)
	if err != nil {
		return err
	}
	requests, responses := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var req request
		if err := requests.Decode(&req); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		var resp response
		if resp.Sample, err = t.run(ctx, req); err != nil {
			resp.Error = err.Error()
		}
		if err := responses.Encode(resp); err != nil {
			return err
		}
	}
}

// run does one phase on threads of its own, with no garbage collection in between
// and with as many of them running as the kernel lets run: Go's scheduler shall
// not be part of the floor.
func (t *tree) run(ctx context.Context, req request) (load.Sample, error) {
	calls, ok := steps[req.Operation]
	if !ok || len(req.Names) == 0 {
		return load.Sample{}, fmt.Errorf("no floor for operation %q of %d volumes", req.Operation, len(req.Names))
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(req.InFlight + 1))
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	return load.Run(ctx, load.Phase{
		Count: req.Count, InFlight: req.InFlight, OwnThreads: true,
		Do: func(_ context.Context, _, i int) error {
			name := req.Names[i%len(req.Names)]
			for _, call := range calls {
				if err := call(t, name); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
