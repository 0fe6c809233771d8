package quota

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) {
	filesystem.DropResources()
	filesystem.Main(m)
}
