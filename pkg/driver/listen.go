package driver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// maxSocketPath is the longest path of a unix socket (sockaddr_un, less the final NUL).
const maxSocketPath = 107

// Listen opens the endpoint, "unix:///absolute/path". A socket that a dead process
// left there is taken over; one that somebody serves is not.
func Listen(endpoint string) (net.Listener, error) {
	path, ok := strings.CutPrefix(endpoint, "unix://")
	switch {
	case !ok || !filepath.IsAbs(path):
		return nil, state.Errorf(state.Invalid, "endpoint is %s; it takes unix:///absolute/path/of/the/socket", state.Quote(endpoint))
	case len(path) > maxSocketPath:
		return nil, state.Errorf(state.Invalid, "endpoint: the path has %d bytes; a socket's takes at most %d", len(path), maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	// Whoever may connect may have any directory of the node mounted.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("endpoint: %w", err), l.Close())
	}
	return l, nil
}

func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("endpoint: %w", err)
	case st.Mode().Type() != os.ModeSocket:
		return state.Errorf(state.Invalid, "endpoint: %s exists and is no socket: remove it or choose another path", state.Quote(path))
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
		return state.Errorf(state.InUse, "endpoint: another process serves %s: stop it or choose another path", state.Quote(path))
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("endpoint: %w", err)
	}
	return os.Remove(path)
}
