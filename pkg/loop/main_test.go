package loop

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

func TestMain(m *testing.M) { filesystem.Main(m) }
