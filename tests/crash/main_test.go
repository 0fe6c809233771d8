// Package crash kills the real driver, damages what it keeps, and looks whether its
// promises hold at the next start: what was answered is there, what was not can be
// asked for again, and nothing else is left.
package crash

import (
	"os"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	process.RemoveBinaries()
	os.Exit(code)
}
