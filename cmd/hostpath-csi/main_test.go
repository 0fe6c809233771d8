package main

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
)

// The tests of the commands that look at a machine mount pools where golden files say.
func TestMain(m *testing.M) { filesystem.Main(m) }
