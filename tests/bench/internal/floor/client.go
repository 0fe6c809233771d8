package floor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/load"
	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/process"
)

// WorkerCommand is the hidden command of this program that calls Serve.
const WorkerCommand = "floor-worker"

// Client is a floor worker in a process of its own.
type Client struct {
	cmd       *exec.Cmd
	stdin     io.WriteCloser
	requests  *json.Encoder
	responses *json.Decoder
}

// Start starts a worker of this same program that works in dir.
func Start(dir string) (*Client, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, WorkerCommand, dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = process.Isolated()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	return &Client{cmd: cmd, stdin: stdin, requests: json.NewEncoder(stdin), responses: json.NewDecoder(stdout)}, nil
}

// Run does one phase: count operations on the named volumes, which repeat.
func (c *Client) Run(op Operation, names []string, count, inFlight int) (load.Sample, error) {
	if err := c.requests.Encode(request{Operation: op, Names: names, Count: count, InFlight: inFlight}); err != nil {
		return load.Sample{}, fmt.Errorf("asking the floor: %w", err)
	}
	var resp response
	if err := c.responses.Decode(&resp); err != nil {
		return load.Sample{}, fmt.Errorf("the floor's answer: %w", err)
	}
	if resp.Error != "" {
		return load.Sample{}, errors.New("floor: " + resp.Error)
	}
	return resp.Sample, nil
}

// Close ends the worker. What it mounted ends with it: see process.Isolated.
func (c *Client) Close() error {
	return errors.Join(c.stdin.Close(), c.cmd.Wait())
}
