package block

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
