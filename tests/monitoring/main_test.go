// Package monitoring has a real Prometheus look at a real driver: what is scraped, the
// alerts and the dashboard's queries are what an operator gets.
package monitoring

import (
	"testing"

	"github.com/hostpath-csi/hostpath-csi/tests/filesystem"
	"github.com/hostpath-csi/hostpath-csi/tests/process"
)

func TestMain(m *testing.M) { filesystem.Main(m, process.RemoveBinaries) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
