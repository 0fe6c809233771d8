package pool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostpath-csi/hostpath-csi/pkg/backend"
	"github.com/hostpath-csi/hostpath-csi/pkg/crash"
	"github.com/hostpath-csi/hostpath-csi/pkg/state"
)

// fateXattr holds, on a volume that goes and is not simply to be removed, what is to
// become of it: its record in the store is gone by then.
const fateXattr = "trusted.hostpath-csi.fate"

// fate is what fateXattr holds.
type fate struct {
	backend.Fate
	// Of is the passing name of the life that it is about: a copy of the volume's
	// directory, such as a snapshot of a subvolume, may carry it, too.
	Of string `json:"of"`
	// Heir is, of something in the archive, the volume that it is to become; nil: none.
	Heir *heir `json:"heir,omitempty"`
}

// fateOf tells what is to become of a volume that is discarded. One that nobody was told
// of is removed whatever was wanted.
func fateOf(v state.Volume) state.OnDelete {
	existed := v.Status.Phase == state.Ready || v.Status.Phase == state.Deleting
	if existed && (v.Spec.OnDelete == state.OnDeleteArchive || v.Spec.OnDelete == state.OnDeleteScrub) {
		return v.Spec.OnDelete
	}
	return ""
}

// doom writes on what is about to be renamed to the trash what is to become of it there,
// durably: the rename must not outlive a power cut without it.
func doom(dirfd int, name string, i item) error {
	fd, err := openAt(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	err = writeFate(f, fate{Fate: backend.Fate{OnDelete: i.fate, DeletedAt: time.Now().UTC().Truncate(time.Second)}, Of: i.passing})
	if errors.Is(err, unix.EPERM) && makeMutable(dirfd, name) {
		err = writeFate(f, fate{Fate: backend.Fate{OnDelete: i.fate, DeletedAt: time.Now().UTC().Truncate(time.Second)}, Of: i.passing})
	}
	if err == nil {
		crash.Step(crash.DeleteDoomed)
	}
	return err
}

func writeFate(f *os.File, to fate) error {
	b, err := json.Marshal(to)
	if err != nil {
		return err
	}
	if err := unix.Fsetxattr(int(f.Fd()), fateXattr, b, 0); err != nil {
		return fmt.Errorf("writing on %s what is to become of it: %w", f.Name(), err)
	}
	return f.Sync()
}

// readFate returns what is written on a volume; the zero value if nothing is.
func readFate(fd int) (f fate, err error) {
	b := make([]byte, 4096)
	n, err := unix.Fgetxattr(fd, fateXattr, b)
	if errors.Is(err, unix.ENODATA) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(b[:n], &f)
	}
	return f, err
}

// Fate tells what is to become of an entry of the trash.
func (p *Pool) Fate(entry string) (backend.Fate, error) {
	if err := checkEntry(entry); err != nil {
		return backend.Fate{}, err
	}
	fd, err := openRecorded(p.trash.fd(), entry)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) { // gone, or no volume
		return backend.Fate{}, nil
	}
	if err != nil {
		return backend.Fate{}, fmt.Errorf("what is to become of %s: %w", entry, err)
	}
	defer unix.Close(fd)
	f, err := readFate(fd)
	if err != nil {
		return backend.Fate{}, fmt.Errorf("what is to become of %s: %w", entry, err)
	}
	if rest, ok := strings.CutPrefix(entry, f.Of); f.Of == "" || !ok || rest != "" && rest[0] != '.' {
		return backend.Fate{}, nil
	}
	return f.Fate, nil
}
