package mount

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// euidEnv tells a process that it shall only tell its effective user ID.
const euidEnv = "MOUNT_TEST_EUID"

func TestMain(m *testing.M) {
	if os.Getenv(euidEnv) != "" {
		fmt.Print(strconv.Itoa(os.Geteuid()))
		os.Exit(0)
	}
	filesystem.Main(m)
}
