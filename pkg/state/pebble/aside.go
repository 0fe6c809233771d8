package pebble

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// SetAside moves a store that cannot be opened to a directory beside it, so that
// another can be created in its place and nothing is lost for whoever wants to look.
//
// The sentinel goes last: until then the store counts as damaged, not as missing.
func SetAside(dir string) (to string, err error) {
	lock, err := acquireLock(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	to = filepath.Join(dir, "damaged-"+time.Now().UTC().Format("20060102T150405.000Z"))
	if err := os.Mkdir(to, 0o700); err != nil {
		return "", state.Errorf(state.Unavailable, "setting the damaged store aside: %w", err)
	}
	for _, name := range []string{databaseDir, newDatabaseDir, sentinelFile} {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", state.Errorf(state.Unavailable, "setting the damaged store aside: %w", err)
		}
	}
	return to, errors.Join(syncDir(to), syncDir(dir))
}
