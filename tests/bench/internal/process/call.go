package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// Call runs a hidden command of this same program in a process of its own
// (see Isolated), with the request as JSON on its standard input, and reads its
// response, which there may be even if it failed. When ctx ends, the process is told by SIGTERM, and waited for.
func Call(ctx context.Context, command string, request, response any, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := json.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, command)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = Isolated()
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), stderr
	out, err := cmd.Output()
	a := answer{Response: response}
	parsed := json.Unmarshal(out, &a)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("%s: %w", command, err)
	case parsed != nil:
		return fmt.Errorf("%s: its response: %w", command, parsed)
	case a.Error != "":
		return errors.New(a.Error)
	}
	return nil
}

// answer is what the process of a Call writes.
type answer struct {
	Response any    `json:"response,omitempty"`
	Error    string `json:"error,omitempty"`
}

// Answer is the other end of Call: it reads the request, does it, and writes the
// response, and what went wrong.
func Answer[Request, Response any](in io.Reader, out io.Writer, do func(Request) (Response, error)) error {
	var request Request
	if err := json.NewDecoder(in).Decode(&request); err != nil {
		return err
	}
	response, err := do(request)
	a := answer{Response: response}
	if err != nil {
		a.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(a)
}
