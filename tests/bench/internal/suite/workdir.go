package suite

import (
	"log"
	"os"

	"github.com/hostpath-csi/hostpath-csi/tests/bench/internal/machine"
)

// workDir makes the directory that a run works in, below parent, and looks at the machine,
// which has to have a real disk there. remove takes it away with all that is in it.
func workDir(parent string, log *log.Logger) (dir string, facts machine.Facts, remove func() error, err error) {
	if dir, err = os.MkdirTemp(parent, "hostpath-csi-bench-"); err != nil {
		return "", facts, nil, err
	}
	remove = func() error {
		log.Printf("removing %s", dir)
		return os.RemoveAll(dir)
	}
	if facts, err = machine.Look(dir); err == nil {
		err = facts.RealDisk(dir)
	}
	if err != nil {
		_ = remove() // empty; what matters is told
		return "", facts, nil, err
	}
	return dir, facts, remove, nil
}
